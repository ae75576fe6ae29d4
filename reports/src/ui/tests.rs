use super::*;

const HOSTILE: &str = "<script>alert(1)</script>\" onload='x' {{ 7*7 }}";

fn line() -> RunLine {
    RunLine {
        link: Link::new(HOSTILE, "/runs/x/"),
        value: HOSTILE.into(),
        seed: "7".into(),
        state: HOSTILE.into(),
        running: true,
        stage: HOSTILE.into(),
        metric: Some([HOSTILE.into(), "0.1".into()]),
        alarms: vec![HOSTILE.into()],
        report: Some("/runs/x/report/index.html".into()),
    }
}

#[test]
fn every_text_of_a_list_is_data() {
    let sweep = SweepLine { link: Link::new(HOSTILE, "/sweeps/x/index.html"), runs: 2 };
    let content =
        listing(&Listing { sweeps: vec![sweep], runs: vec![line()], note: Some(HOSTILE.into()) }).unwrap();
    let page = Page {
        title: HOSTILE.into(),
        trail: vec![Link::new(HOSTILE, "/")],
        links: vec![Link::new(HOSTILE, "/")],
        follow: Some(Follow { href: HOSTILE.into(), tag: HOSTILE.into() }),
        content,
    };
    let html = render(&page).unwrap();
    assert!(!html.contains("<script>") && !html.contains("onload='"), "{html}");
    assert!(html.contains("&lt;script&gt;") && html.contains("{{ 7*7 }}"), "shown as it is written");
}

#[test]
fn an_empty_list_says_how_a_run_is_made() {
    assert!(listing(&Listing::default()).unwrap().contains("recalign run CONFIG"));
}

#[test]
fn nothing_in_a_page_needs_an_inline_style_or_script() {
    for template in [include_str!("page.html"), include_str!("list.html"), include_str!("../html/block.html")]
    {
        assert!(!template.contains(" style=") && !template.contains("<style"), "{template}");
        assert!(!template.contains(" onclick") && !template.contains("<script>"), "{template}");
    }
}

#[test]
fn a_reports_script_is_hashed_as_it_stands_in_the_page() {
    let document = crate::document::Document {
        title: "x".into(),
        facts: Vec::new(),
        sections: vec![crate::document::Section { id: "a", title: "A", blocks: Vec::new() }],
    };
    let page = html::render(&document).unwrap();
    assert!(page.contains(&format!("<script>{}</script>", html::inline_script())));
}

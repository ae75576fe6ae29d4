//! Walks a rendered page and finds numbers that do not say where they came from.

/// Text of the page itself, the same in every report: what a caption says of a method is no measurement.
const CONSTANTS: [&str; 5] = ["95 %", "of 10", "600 points", "90 characters", "12 W"];

/// Elements without an end.
const VOID: [&str; 4] = ["meta", "br", "input", "link"];

/// An element that is open, and whether what is in it is accounted for.
struct Open {
    name: String,
    sourced: bool,
}

/// Every number that is shown without a source, with the text around it.
pub(crate) fn unsourced(page: &str) -> Vec<String> {
    let page = &without_script(page);
    let mut open: Vec<Open> = Vec::new();
    let mut found = Vec::new();
    for part in page.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag ends");
        step(&mut open, tag, page);
        let sourced = open.iter().any(|element| element.sourced);
        if !sourced && has_number(text) {
            found.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    assert!(open.is_empty(), "elements that do not end");
    found
}

/// A script is no markup.
fn without_script(page: &str) -> String {
    match (page.split_once("<script>"), page.split_once("</script>")) {
        (Some((before, _)), Some((_, after))) => format!("{before}{after}"),
        _ => page.to_owned(),
    }
}

fn step(open: &mut Vec<Open>, tag: &str, page: &str) {
    let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap_or_default();
    if tag.starts_with('/') {
        let last = open.pop().expect("an element that is open ends");
        assert_eq!(last.name, name);
    } else if !tag.starts_with('!') && !tag.ends_with('/') && !VOID.contains(&name) {
        open.push(Open { name: name.to_owned(), sourced: accounts(name, tag, page) });
    }
}

/// Keys, hashes and the configuration are sources themselves; a picture has its numbers in a file beside it.
fn accounts(name: &str, tag: &str, page: &str) -> bool {
    match name {
        "head" | "script" | "nav" | "code" | "pre" => true,
        // What keys mean is the program's own text.
        "section" => tag.contains("id=\"glossary\""),
        "svg" => page.contains(".csv\">data (CSV)</a>"),
        _ => tag.contains(" title=\""),
    }
}

fn has_number(text: &str) -> bool {
    let text = CONSTANTS.iter().fold(text.to_owned(), |text, constant| text.replace(constant, ""));
    let words = text.split(|c: char| c.is_whitespace() || "()[]:;/".contains(c));
    words
        .map(|word| word.trim_start_matches(['+', '−', '-', '~', '<']))
        .any(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}

#[test]
fn a_number_without_a_source_is_found_wherever_it_stands() {
    let page = |body: &str| format!("<html><head><title>2 runs</title></head><body>{body}</body></html>");
    let wrong = |body: &str| unsourced(&page(body)).len();
    for body in ["<p>NDCG rises by 0.01.</p>", "<td><b>12,345</b></td>", "<p>[−0.5, 1]</p>", "<li>x: 7</li>"]
    {
        assert_eq!(wrong(body), 1, "{body}");
    }
    for body in [
        "<p><span title=\"stage evaluate, key ndcg@10\">0.01</span> with 95 % intervals</p>",
        "<td>align-ipa-1 at NDCG@10</td>",
        "<pre><code>seed = 7</code></pre>",
    ] {
        assert_eq!(wrong(body), 0, "{body}");
    }
}

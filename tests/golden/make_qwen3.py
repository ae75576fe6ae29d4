"""Writes qwen3/ and qwen3_untied/: tiny Qwen3 models with random weights and what `transformers` computes when it loads the
written files: logits behind `[history, 0, codes]`.

    python make_qwen3.py     (transformers 5.23.0 and torch 2.15.0 made the committed files)
"""

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

HERE = Path(__file__).parent
SIZES = {
    "vocab_size": 16,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "rms_norm_eps": 1e-6,
    # Not the default, so that a key nobody reads is noticed.
    "rope_theta": 100.0,
    "tie_word_embeddings": True,
    "dropout_rate": 0.1,
}
CONSTANTS = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_act": "silu",
    "attention_bias": False,
    "use_sliding_window": False,
    "max_position_embeddings": 32768,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "torch_dtype": "float32",
}
HISTORIES = [[5, 7, 12, 2, 8, 9, 3, 3, 14], [4, 6, 10], [15, 2, 2, 9, 13, 7, 7, 7, 3, 11, 4, 8]]
CODES = [[3, 8, 11, 2], [2, 7, 9, 5], [5, 6, 12, 14]]


def write(out, sizes):
    torch.manual_seed(0)
    out.mkdir(exist_ok=True)
    (out / "config.json").write_text(json.dumps(CONSTANTS | sizes, indent=2) + "\n")
    config = transformers.AutoConfig.from_pretrained(out)
    fresh = transformers.Qwen3ForCausalLM(config)
    with torch.no_grad():
        for name, parameter in fresh.named_parameters():
            # Away from the initial values, so that each weight matters.
            parameter.add_(torch.randn_like(parameter) * (0.2 if "norm" in name else 0.3))
    weights = {k: v.contiguous() for k, v in fresh.state_dict().items()
               if not (k == "lm_head.weight" and sizes["tie_word_embeddings"])}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    model, report = transformers.AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    model.eval()
    inputs = [[0] + codes[:-1] for codes in CODES]
    logits = []
    with torch.no_grad():
        for history, row in zip(HISTORIES, inputs):
            logits.append(model(torch.tensor([history + row])).logits[0, -len(row):].tolist())
    expected = {"versions": {"torch": torch.__version__, "transformers": transformers.__version__},
                "histories": HISTORIES, "decoder_inputs": inputs, "logits": logits}
    (out / "expected.json").write_text(json.dumps(expected) + "\n")


write(HERE / "qwen3", SIZES)
write(HERE / "qwen3_untied", SIZES | {"tie_word_embeddings": False, "num_key_value_heads": 4})

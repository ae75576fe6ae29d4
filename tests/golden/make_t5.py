"""Writes t5/: a tiny T5 with random weights and what `transformers` computes with it.

Run: python3 tests/golden/make_t5.py   (transformers 4.41.2 and torch 1.13.1 made the committed files)
"""

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

OUT = Path(__file__).parent / "t5"
SIZES = {
    "vocab_size": 16,
    "d_model": 16,
    "d_kv": 4,
    "d_ff": 24,
    "num_heads": 2,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 16,
    "dropout_rate": 0.1,
    "layer_norm_epsilon": 1e-6,
}
CONSTANTS = {
    "architectures": ["T5ForConditionalGeneration"],
    "model_type": "t5",
    "feed_forward_proj": "relu",
    "tie_word_embeddings": True,
    "is_encoder_decoder": True,
    "use_cache": True,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
    "torch_dtype": "float32",
}


def main():
    torch.manual_seed(0)
    config = transformers.T5Config(**SIZES, **{k: v for k, v in CONSTANTS.items() if k != "architectures"})
    model = transformers.T5ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # Norm gains and biases away from their initial values, so that each of them matters.
            parameter.add_(torch.randn_like(parameter) * 0.2)
    # Histories of 20 and 7 tokens: distances beyond the exact buckets, and padding.
    lengths = [20, 7]
    inputs = torch.zeros(2, 20, dtype=torch.long)
    for row, length in enumerate(lengths):
        inputs[row, :length] = torch.randint(2, 16, (length,))
    mask = (torch.arange(20)[None] < torch.tensor(lengths)[:, None]).long()
    targets = torch.randint(2, 16, (2, 6))
    decoder = torch.cat([torch.zeros(2, 1, dtype=torch.long), targets[:, :-1]], 1)
    with torch.no_grad():
        logits = model(input_ids=inputs, attention_mask=mask, decoder_input_ids=decoder).logits
    weights = {k: v.contiguous() for k, v in model.state_dict().items() if "embed_tokens" not in k and k != "lm_head.weight"}
    OUT.mkdir(exist_ok=True)
    save_file(weights, OUT / "model.safetensors", metadata={"format": "pt"})
    (OUT / "config.json").write_text(json.dumps(CONSTANTS | SIZES, indent=2) + "\n")
    expected = {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "lengths": lengths,
        "inputs": inputs.tolist(),
        "decoder_inputs": decoder.tolist(),
        "logits": logits.tolist(),
    }
    (OUT / "expected.json").write_text(json.dumps(expected) + "\n")


main()

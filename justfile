# `just` lists the recipes; CONTRIBUTING.md has the plain cargo lines.

_default:
    @just --list

# everything a change must pass, cheapest first
check: fmt clippy doc test

# formatting
fmt:
    cargo fmt --all -- --check

# lints, warnings denied
clippy:
    cargo clippy --release --workspace --all-targets -- -D warnings

# documentation, warnings denied
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps

# all tests, in the profile of the program, so that dependencies compile once
test *ARGS:
    cargo test --release {{ARGS}}

# kills, failing disks, damaged and hostile files: what the tests do, FACTOR times as often (hours)
torture FACTOR="10":
    TORTURE={{FACTOR}} cargo test --release --test integration -- --nocapture faults:: kills:: hostile::

# fuzzing of a format, guided by coverage: toml csv jsonl inter s3rec sequences parquet vectors policy (nightly, cargo-fuzz)
fuzz FORMAT *ARGS:
    cargo +nightly fuzz run --fuzz-dir tests/fuzz {{FORMAT}} {{ARGS}}

# the built-in world, start to report
quickstart *ARGS:
    cargo run --release -- run experiments/configs/quickstart.toml {{ARGS}}

# every stage of the quickstart in seconds
smoke *ARGS:
    cargo run --release -- run experiments/configs/quickstart.toml --set run.budget=smoke --run-dir runs/smoke {{ARGS}}

# this program beside other implementations (their scripts in ../shared/peers); writes reports/published/speed
bench-peers *ARGS:
    cargo build --release
    python3 experiments/bench/peers.py {{ARGS}}

# how costs grow with their sizes, as curves (minutes); DIR receives scaling.md
bench-scaling DIR *ARGS:
    mkdir -p {{DIR}}
    cargo run --release -- bench scaling --write {{DIR}} {{ARGS}}

# an epoch on Amazon Beauty beside Hugging Face's T5 (needs the data and the peers' Python environment)
bench-epoch *ARGS:
    cargo build --release
    python3 experiments/bench/beauty_epoch.py {{ARGS}}

# an exported directory under transformers (PYTHON needs torch, transformers, safetensors, pyarrow)
parity PYTHON DIR *ARGS:
    {{PYTHON}} experiments/bench/parity.py {{DIR}} {{ARGS}}

# the service on an exported T5 directory beside FastAPI and transformers (PYTHON needs these too); writes reports/published/serving
bench-serving PYTHON DIR *ARGS:
    cargo build --release
    {{PYTHON}} experiments/bench/load.py compare {{DIR}} --write reports/published/serving {{ARGS}}

# a million requests for which an item that is not in the catalogue must never appear (20 minutes and more); REQUESTS of them
million REQUESTS="1000000":
    RECALIGN_REQUESTS={{REQUESTS}} cargo test --release --test integration never_appears -- --nocapture

# the kernels one by one
bench-kernels *ARGS:
    cargo bench -p policy --bench kernels {{ARGS}}

# licences, sources and bans of all dependencies (needs cargo-deny)
deny:
    cargo deny check

# that the CUDA build still type-checks; DOCS_RS=1 keeps burn-cuda's build script from downloading LLVM
cuda-check:
    DOCS_RS=1 cargo check --features cuda

# the GPU path against the CPU on the adapter that wgpu finds, in software if need be (Debian: mesa-vulkan-drivers). A target
# directory of its own: the feature rebuilds the tensor library
gpu-smoke:
    cargo test --release --features webgpu --target-dir target/gpu --test integration gpu:: -- --nocapture

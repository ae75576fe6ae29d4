"""Prints the scalars of a directory of event files, as TensorBoard's own reader sees them: {stage: {key: [[step, value]]}}.

    python3 tests/golden/read_events.py RUN/tensorboard

Needs PyPI's tensorboard. Every frame's checksums are verified by the reader.
"""

import json
import pathlib
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

found = {}
for stage in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    accumulator = EventAccumulator(str(stage), size_guidance={"scalars": 0})
    accumulator.Reload()
    found[stage.name] = {tag: [[event.step, event.value] for event in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}
json.dump(found, sys.stdout)

"""The register of patches says what an import of the plugin replaces, no more and no less."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from intra_distill.patches import REGISTER

ROOT = Path(__file__).parents[1]
# prints the functions of fairseq and of two modules of torch that are other ones after the import
REPLACED = """
import json, sys
import torch.utils.data, torch.multiprocessing
import fairseq_cli.train, fairseq_cli.generate, fairseq_cli.interactive

def functions():
    found = {}
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in ("fairseq", "fairseq_cli") or name in (
            "torch.multiprocessing", "torch.utils.data.dataloader", "torch.nn.modules.module"
        ):
            for key, value in list(vars(module).items()):
                if callable(value) and not isinstance(value, type):
                    found[f"{name}.{key}"] = value
                if isinstance(value, type) and value.__module__ == name:
                    found |= {f"{name}.{key}.{k}": v for k, v in vars(value).items()}
    return found

before = functions()
import intra_distill
after = functions()
print(json.dumps([name for name in before if after[name] is not before[name]]))
"""


def test_the_register_is_complete():
    output = subprocess.check_output([sys.executable, "-c", REPLACED], cwd=ROOT, text=True)
    replaced = json.loads(output.splitlines()[-1])
    assert sorted(replaced) == sorted(patch.function for patch in REGISTER)


@pytest.mark.parametrize("patch", REGISTER, ids=lambda patch: patch.function)
def test_each_patch_says_what_it_is_for(patch):
    assert patch.why and patch.without and (ROOT / patch.test).is_file()

"""Importing this module registers all of the package with fairseq, and applies its patches."""

import logging
import warnings
from importlib import import_module
from pkgutil import iter_modules

# fairseq warns at every start that its speech tasks lack tensorboardX
logging.getLogger("fairseq.tasks.text_to_speech").setLevel(logging.WARNING)

# torch 2.15 warns at every start of a deprecated function that fairseq itself uses
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)

from . import criterions, models, optim, patches, tasks  # noqa: E402

# fairseq imports these modules itself only if it is the first to import the package
for package in (criterions, models, optim, tasks):
    for module in iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)

patches.apply()

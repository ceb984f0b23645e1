"""All that fairseq has to know of the package: importing this module tells it."""

import logging
import warnings
from importlib import import_module
from pkgutil import iter_modules

# fairseq tells every user, at every start, that its speech tasks lack tensorboardX
logging.getLogger("fairseq.tasks.text_to_speech").setLevel(logging.WARNING)

# torch 2.15 tells every user, at every start, what fairseq's own code should do without
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)

from . import criterions, models, optim, patches, tasks  # noqa: E402

# fairseq looks for tasks and models itself only where it is the first to import the package
for package in (criterions, models, optim, tasks):
    for module in iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)

patches.apply()

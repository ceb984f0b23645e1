import re
from pathlib import Path

from setuptools import find_packages, setup

root = Path(__file__).parent
# read, not imported: importing the package needs what is only about to be installed
package = (root / "intra_distill" / "__init__.py").read_text(encoding="utf-8")

# for BERT its word pieces; for BERT and XLM-R the weights that Hugging Face has
NLU = ["tokenizers>=0.20", "safetensors>=0.4"]
# for models that translate without fairseq
EXPORT = ["ctranslate2>=4.5"]

setup(
    name="intra_distill",
    version=re.search('__version__ = "(.+)"', package)[1],
    description="Intra-distillation for fairseq: models whose parameters all count",
    long_description=(root / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=find_packages(include=["intra_distill", "intra_distill.*"]),
    python_requires=">=3.11",
    install_requires=[
        "fairseq-fixed==0.12.3.1",
        "torch>=2.6",
        "sentencepiece>=0.2.0",
        "sacrebleu>=2.4",
        "sacremoses>=0.1.1",
        "matplotlib>=3.8",
        "numpy",
        "tqdm",
    ],
    extras_require={
        "nlu": NLU,
        "export": EXPORT,
        "test": [
            *["pytest>=8", "pytest-xdist>=3", "hypothesis>=6", "ruff==0.17.6"],
            # the references for BERT and XLM-R, for word pieces, and for the F1 of entities
            *[*NLU, "transformers>=5", "seqeval>=1.2.2"],
            *[*EXPORT, "tensorboardX>=2.5"],
        ],
    },
    entry_points={"console_scripts": ["intra-distill=intra_distill.cli:main"]},
)

"""Released Stable Diffusion weights: a folder in the layout of diffusers, or a name on the hub."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import diffusers
import torch
import transformers
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from dpiqa.errors import InputError
from dpiqa.runtime.files import atomic_write
from dpiqa.train.loop.memory import is_out_of_memory
from dpiqa.train.teachers.presets import RELEASES
from dpiqa.train.teachers.prompts import PROMPTS

_WEIGHTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}
_FILES = [
    *(f"{part}/{name}" for part, weights in _WEIGHTS.items() for name in ("config.json", weights)),
    *(f"tokenizer/{name}" for name in ("vocab.json", "merges.txt")),
]
_OPTIONAL = ["tokenizer/tokenizer_config.json", "tokenizer/special_tokens_map.json"]
_BATCH = 55
Model = TypeVar("Model")


def find_release(weights: str) -> Path:
    """The folder `weights`, fetched from the hub if it is not a folder; complete, and without pickles.

    Raises InputError that names what is expected and what is missing.
    """
    folder = Path(weights)
    if not folder.is_dir():
        folder = _fetch(weights)
    for file in _FILES:
        if (folder / file).is_file():
            continue
        if file.endswith(".safetensors"):
            pickles = sorted(path.name for path in (folder / file).parent.glob("*.bin"))
            if pickles:
                raise InputError(
                    f"{(folder / file).parent}: {pickles[0]} is a pickle, which can run code and is not read; "
                    f"get {Path(file).name} (from {RELEASES['sd15']}, for instance)"
                )
        raise InputError(f"{folder}: {file} is missing; {_expected()}")
    return folder


def load_part(kind: type[Model], folder: Path, **options: Any) -> Model:
    """A model of the release in FP32, with all weights from its safetensors; InputError if they do not fit."""
    _check_part(kind.__name__, folder)
    for library in (diffusers, transformers):  # their warnings are errors here, in one line
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    try:
        model, info = kind.from_pretrained(folder, use_safetensors=True, output_loading_info=True, **options)  # type: ignore[attr-defined]
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise InputError(f"{folder}: cannot be read as {kind.__name__} ({_reason(error)}); {_expected()}") from None
    if info["missing_keys"]:
        raise InputError(f"{folder}: its weights lack {min(info['missing_keys'])}, get the file again; {_expected()}")
    return model


def _check_part(kind: str, folder: Path) -> None:
    """Raise InputError for another model or a truncated file, before the libraries fail on it."""
    config, weights = folder / "config.json", folder / _WEIGHTS[folder.name]
    try:
        document = json.loads(config.read_bytes())
        actual = document.get("_class_name") or (document.get("architectures") or [kind])[0]
    except (ValueError, AttributeError, LookupError):
        raise InputError(f"{config}: not the configuration of {kind}, get the file again; {_expected()}") from None
    if actual != kind:
        raise InputError(f"{config}: describes {actual}, expected {kind}; {_expected()}")
    try:
        with safe_open(weights, "pt"):
            pass
    except SafetensorError as error:
        raise InputError(f"{weights}: damaged or cut short ({_reason(error)}), get the file again") from None


def identity(folder: Path) -> str:
    """SHA-256 of all weights of the release that training does not change."""
    digest = hashlib.sha256()
    for part in ("vae", "text_encoder"):
        with (folder / part / _WEIGHTS[part]).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def embed_prompts(folder: Path, key: str) -> Tensor:
    """One pooled embedding per prompt by the release's own text encoder: float32 `[495, width]`.

    Computed once and cached for the user, by `key` (the identity of the weights), the tokenizer and the prompts.
    """
    digest = hashlib.sha256("\n".join([key, *PROMPTS]).encode())
    for file in ("text_encoder/config.json", "tokenizer/vocab.json", "tokenizer/merges.txt"):
        digest.update((folder / file).read_bytes())
    key = digest.hexdigest()
    cached = _cache() / f"prompts-{key[:16]}.pt"
    with suppress(Exception):  # a cached file with any fault is computed again
        contents = torch.load(cached, map_location="cpu", weights_only=True)
        if contents["key"] == key:
            return contents["embeddings"]
    embeddings = _embed(folder)
    with suppress(OSError, InputError):  # without a cache, the next start only takes longer
        cached.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(cached) as file:
            torch.save({"key": key, "embeddings": embeddings}, file)
    return embeddings


def _embed(folder: Path) -> Tensor:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder: Any = load_part(CLIPTextModel, folder / "text_encoder", dtype=torch.float32)
    encoder.to(device).eval()
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        tokens = tokenizer(list(PROMPTS), padding=True, return_tensors="pt").input_ids
    except Exception as error:
        raise InputError(f"{folder / 'tokenizer'}: cannot be read ({_reason(error)}); {_expected()}") from None
    with torch.no_grad():
        embeddings = torch.cat([encoder(part.to(device)).pooler_output.cpu() for part in tokens.split(_BATCH)])
    if not embeddings.isfinite().all():
        raise InputError(f"{folder / 'text_encoder'}: gives embeddings that are not finite numbers, get its file again")
    return embeddings


def _fetch(name: str) -> Path:
    try:
        return Path(snapshot_download(name, allow_patterns=[*_FILES, *_OPTIONAL]))
    except Exception as error:
        raise InputError(
            f"{name}: neither a folder nor within reach on the hub ({_reason(error)}); {_expected()}"
        ) from None


def _reason(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".")


def _expected() -> str:
    return (  # SD 1.5 stands for all: they have one layout
        f"--weights expects a folder with unet/, vae/, text_encoder/ (config.json and .safetensors each) and "
        f"tokenizer/, as {RELEASES['sd15']} on huggingface.co has it"
    )


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dpiqa-edge"

"""Models from Hugging Face's hub, or from another server that answers as it does (HF_ENDPOINT)."""

from __future__ import annotations

from pathlib import Path

from dpiqa.errors import DpiqaError, EngineError


def fetch_model(repository: str, file: str | None = None, revision: str | None = None) -> Path:
    """Download a model file into the hub's cache, unless it is there, and give its path.

    `repository` is `owner/name`, `file` a name in it (default: `name.onnx`), `revision` a branch, tag or commit.
    Raises DpiqaError without huggingface_hub, EngineError where there is no such file or no answer.
    """
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
        from huggingface_hub.errors import (
            EntryNotFoundError,
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ModuleNotFoundError:
        raise DpiqaError("models of a hub need huggingface_hub, install it with: pip install '.[hub]'") from None
    file = file or f"{repository.rpartition('/')[2]}.onnx"
    try:
        try:
            get_hf_file_metadata(hf_hub_url(repository, file, revision=revision))
            answers = True
        except (HfHubHTTPError, HFValidationError):
            raise
        except Exception:  # of requests, httpx or httpx2, as the version of huggingface_hub has it
            answers = False  # the cache then, without half a minute of further attempts
        return Path(hf_hub_download(repository, file, revision=revision, local_files_only=not answers))
    except LocalEntryNotFoundError:
        reason = "the hub does not answer, and it is not in the cache"
    except RepositoryNotFoundError:
        reason = "no such repository on the hub, or no access to it"
    except RevisionNotFoundError:
        reason = f"no revision '{revision}'"
    except EntryNotFoundError:
        reason = f"no file '{file}' in it, name one with file="
    except HFValidationError:
        reason = "expected owner/name"
    except HfHubHTTPError as error:
        reason = f"the hub refused ({error.response.status_code})"
    raise EngineError(f"{repository}: {reason}") from None

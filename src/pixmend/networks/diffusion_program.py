"""Inpaint the images of a job with a pipeline of diffusers; stable_diffusion.py runs this file in an environment of its own."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from diffusers import AutoPipelineForInpainting
from diffusers.training_utils import set_seed
from diffusers.utils.torch_utils import get_device
from PIL import Image


def main(job: dict[str, Any]) -> None:
    try:
        pipeline = AutoPipelineForInpainting.from_pretrained(job["model"], use_safetensors=True).to(get_device())
    except (OSError, ValueError) as error:
        sys.exit(" ".join(str(error).split()))
    pipeline.set_progress_bar_config(disable=True)
    for item in job["images"]:
        inpaint(pipeline, item, job)
        print(item["output"], flush=True)


def inpaint(pipeline: Any, item: dict[str, Any], job: dict[str, Any]) -> None:
    """Enlarge an image and its mask, inpaint, shrink, and write the result atomically."""
    image, mask, size = Image.open(item["image"]), Image.open(item["mask"]), (job["size"], job["size"])
    set_seed(item["seed"])
    result = pipeline(prompt=item["prompt"], image=image.convert("RGB").resize(size, Image.Resampling.LANCZOS),
                      mask_image=mask.resize(size, Image.Resampling.NEAREST), height=job["size"], width=job["size"],
                      num_inference_steps=job["steps"]).images[0]
    part = item["output"] + ".part"
    result.resize(image.size, Image.Resampling.LANCZOS).convert(image.mode).save(part, "PNG")
    os.replace(part, item["output"])


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))

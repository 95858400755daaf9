"""Run by stable_diffusion.py in an environment of its own: a pipeline of diffusers paints the pictures that a job lists."""

import json
import os
import sys
from pathlib import Path

from diffusers import AutoPipelineForInpainting
from diffusers.training_utils import set_seed
from diffusers.utils.torch_utils import get_device
from PIL import Image


def main(job):
    try:
        pipeline = AutoPipelineForInpainting.from_pretrained(job["model"], use_safetensors=True).to(get_device())
    except (OSError, ValueError) as error:
        sys.exit(" ".join(str(error).split()))
    pipeline.set_progress_bar_config(disable=True)
    for picture in job["pictures"]:
        paint(pipeline, picture, job)
        print(picture["painted"], flush=True)


def paint(pipeline, picture, job):
    """Enlarge a picture and its mask, paint, shrink, and let the file appear whole."""
    image, mask, size = Image.open(picture["picture"]), Image.open(picture["mask"]), (job["size"], job["size"])
    set_seed(picture["seed"])
    painted = pipeline(prompt=picture["prompt"], image=image.convert("RGB").resize(size, Image.Resampling.LANCZOS),
                       mask_image=mask.resize(size, Image.Resampling.NEAREST), height=job["size"], width=job["size"],
                       num_inference_steps=job["steps"]).images[0]
    part = picture["painted"] + ".part"
    painted.resize(image.size, Image.Resampling.LANCZOS).convert(image.mode).save(part, "PNG")
    os.replace(part, picture["painted"])


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))

"""Pre-training: photos and their captions brought into one space.

With frozen towers (LiT, arXiv 2111.07991, turned towards few photos) everything a tower says is
computed once and only the photos' projection learns; texts keep their own geometry, so that cue
prompts nobody wrote as captions stay where they belong. It starts from a closed-form alignment,
because a few hundred photos cannot teach a random one. Rows of split `train` are learned from,
`val` chooses the epoch, `test` is not even read. Must not know how features are stored or what
heads exist.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from training.batching import batch_of, some_captions
from training.config import PretrainConfig
from training.data import Caption, Manifest, make_folds
from training.encoders import Block, Features
from training.losses import Batch, Objective
from training.losses.sigmoid import START_BIAS
from training.projections import BOUND, Projections
from training.ridge import ALPHAS, left_out_errors


@dataclass(frozen=True)
class Pairs:
    """Photos of one split with every caption of each: what a step draws from."""

    images: torch.Tensor
    """(n, p) features of the photos."""
    texts: torch.Tensor
    """(m, q) features of the distinct captions."""
    owned: list[list[int]]
    """Per photo the rows of `texts`."""
    weights: list[NDArray[np.float64]]
    """Per photo its captions' weights, summing to 1."""
    on_task: list[list[bool]]
    """Per photo, for each of its captions, whether it speaks of the photo's task."""
    photos: list[int]
    """Per row its photo's number: `Manifest.photos`."""
    kinds: list[int]
    """Per photo what its score can be compared with: the code of `Manifest.kinds`."""
    scores: torch.Tensor
    """(n,) unified scores, NaN where unknown."""
    loads: list[NDArray[np.float64]] | None = None
    """Per photo its captions' weights as the manifest has them; none: all 1."""

    def __len__(self) -> int:
        """How many photos."""
        return len(self.owned)

    def take(self, rows: Sequence[int]) -> Pairs:
        """The same with only these photos."""
        return Pairs(
            self.images[list(rows)],
            self.texts,
            [self.owned[row] for row in rows],
            [self.weights[row] for row in rows],
            [self.on_task[row] for row in rows],
            [self.photos[row] for row in rows],
            [self.kinds[row] for row in rows],
            self.scores[list(rows)],
            self.loads and [self.loads[row] for row in rows],
        )

    def batch(self, rows: Sequence[int], picks: Sequence[Sequence[int]], *, weigh: bool) -> Batch:
        """What a loss must know of photos `rows` with captions `picks` of each."""
        loads = self.loads if weigh else None
        return batch_of(rows, picks, self.photos, self.scores, self.kinds, self.on_task, loads)


@dataclass
class History:
    """What training left to tell: one record per epoch, and the epoch that was kept."""

    records: list[dict[str, float]] = field(default_factory=list)
    kept: int = 0


def make_pairs(
    manifest: Manifest,
    rows: Sequence[int],
    images: Features,
    texts: Features,
    text_row: dict[str, int],
) -> Pairs:
    """Join a manifest's rows with the features of their photos (in `rows`' order) and captions."""
    kept: list[list[Caption]] = [manifest.captions[row] for row in rows]
    photos, kinds = manifest.photos(), manifest.kinds()
    shares = [np.array([c.weight for c in captions]) for captions in kept]
    return Pairs(
        images=torch.from_numpy(images),
        texts=torch.from_numpy(texts),
        owned=[[text_row[c.text] for c in captions] for captions in kept],
        weights=[share / share.sum() for share in shares],
        on_task=[
            [c.task == manifest.tasks[row] for c in captions]
            for row, captions in zip(rows, kept, strict=True)
        ],
        photos=[photos[row] for row in rows],
        kinds=[kinds[row] for row in rows],
        scores=torch.from_numpy(manifest.scores[list(rows)]).float(),
        loads=shares,
    )


def draw_captions(pairs: Pairs, rows: Sequence[int], rng: np.random.Generator) -> list[int]:
    """One caption of each photo, by weight: positions in the photo's own list."""
    return [
        int(np.searchsorted(np.cumsum(pairs.weights[row])[:-1], rng.random(), side="right"))
        for row in rows
    ]


def draw_several(
    pairs: Pairs, rows: Sequence[int], rng: np.random.Generator, config: PretrainConfig
) -> list[list[int]]:
    """`config.captions_per_photo` different captions of each photo, or all it has."""
    count, by_weight = config.captions_per_photo, config.weigh == "draw"
    if count == 1 and by_weight:
        return [[pick] for pick in draw_captions(pairs, rows, rng)]
    return [some_captions(pairs.weights[row], count, rng, by_weight=by_weight) for row in rows]


def start_projections(pairs: Pairs, blocks: Sequence[Block], dim: int, seed: int) -> Projections:
    """Closed-form start for towers that share no space.

    Texts: the principal axes of the training captions. Photos: ridge regression of each photo's
    weighted mean caption embedding on its standardised features, strength by exact leave-one-out.
    """
    torch.manual_seed(seed)
    model = Projections(pairs.images.shape[1], pairs.texts.shape[1], dim)
    with torch.no_grad():
        model.image_mean.copy_(pairs.images.mean(0))
        std = pairs.images.std(0, correction=0)
        model.image_std.copy_(torch.where(std > 1e-6, std, torch.inf))
        for block in blocks:
            share = 1 / math.sqrt((block.stop - block.start) * len(blocks))
            model.image_weight[block.start : block.stop] = share
        model.image_bound.fill_(BOUND)
        model.text_mean.copy_(pairs.texts.mean(0))
        model.text.weight.copy_(_principal_axes(pairs.texts - model.text_mean, dim, seed))
        _align_images(model, pairs)
    return model


def _align_images(model: Projections, pairs: Pairs) -> None:
    projected = model.embed_texts(pairs.texts).double().numpy()
    target = np.stack(
        [share @ projected[own] for own, share in zip(pairs.owned, pairs.weights, strict=True)]
    )
    features = model.standardise(pairs.images).double().numpy()
    weights = _align(features, target, pairs.photos)
    model.image.weight.copy_(torch.from_numpy(weights).float())


def cross_fit(
    start: Projections,
    train: Pairs,
    groups: Sequence[str],
    val: Pairs | None,
    config: PretrainConfig,
    *,
    realign: bool,
) -> torch.Tensor:
    """(n, dim) embeddings of the training photos, each from a model that never saw its group.

    A head learned on embeddings that were fitted to captions of the very same photos trusts them
    too much: captions know the ratings. All folds share the texts' projection, hence one space.

    Args:
        start: the projections before learning; not changed.
        train, val: as for `fit_projections`.
        groups: (n,) names, left out together.
        config: as for `fit_projections`.
        realign: whether the start is itself learned from photos and must be made again per fold.
    """
    out = torch.zeros(len(train), start.text.out_features)
    for fold in make_folds(groups, config.seed):
        rows = sorted(set(range(len(train))) - set(fold))
        model = copy.deepcopy(start)
        if len(rows) > 1:
            part = train.take(rows)
            if realign:
                with torch.no_grad():
                    _align_images(model, part)
            fit_projections(model, part, val, config, lambda _: None)
        with torch.inference_mode():
            out[fold] = model.embed_images(train.images[fold])
    return out


def _principal_axes(centred: torch.Tensor, dim: int, seed: int) -> torch.Tensor:
    """(dim, q) orthonormal rows, by falling variance; directions captions lack are drawn."""
    rng = torch.Generator().manual_seed(seed)
    noise = torch.randn(centred.shape[1], centred.shape[1], generator=rng) * 1e-4
    axes: torch.Tensor = torch.linalg.svd(
        torch.cat([centred, noise]).double(), full_matrices=False
    )[2]
    if dim <= len(axes):
        return axes[:dim].float()
    return torch.cat([axes, torch.zeros(dim - len(axes), axes.shape[1])]).float()


def _align(
    x: NDArray[np.float64], target: NDArray[np.float64], photos: Sequence[int]
) -> NDArray[np.float64]:
    """(dim, p) ridge weights from photos to captions; at most 4,000 rows are used.

    Rows of one photo are left out together when the strength is chosen.
    """
    rows = np.random.default_rng(0).permutation(len(x))[:4000]
    x, target = x[rows], target[rows]
    if len(x) < 3:
        return target.T @ x
    kernel = x @ x.T
    centred_target = target - target.mean(0)
    names = [str(photos[row]) for row in rows]
    _, _, axes = np.linalg.svd(centred_target, full_matrices=False)
    errors = np.zeros(len(ALPHAS))
    for axis in axes[:8]:  # The strongest directions decide the strength for all.
        errors += [e for _, e in left_out_errors(kernel, centred_target @ axis, names)]
    alpha = ALPHAS[int(np.argmin(errors))]
    penalty = alpha * max(float(np.trace(kernel)) / len(x), 1e-12)
    dual = np.linalg.solve(kernel + penalty * np.eye(len(x)), centred_target)
    weights: NDArray[np.float64] = dual.T @ x
    return weights


def batch_loss(
    model: Projections,
    pairs: Pairs,
    rows: Sequence[int],
    picks: Sequence[Sequence[int]],
    c: PretrainConfig,
) -> torch.Tensor:
    """The loss of one batch of photos with some captions of each."""
    rows = list(rows)
    texts = [pairs.owned[row][pick] for row, some in zip(rows, picks, strict=True) for pick in some]
    return Objective(c.loss, c.beta, c.sigma)(
        normalize(model.embed_images(pairs.images[rows]), dim=-1),
        model.embed_texts(pairs.texts[texts]),
        model.scale,
        model.logit_bias,
        pairs.batch(rows, picks, weigh=c.weigh == "loss"),
    )


def fit_projections(
    model: Projections,
    train: Pairs,
    val: Pairs | None,
    config: PretrainConfig,
    tell: Callable[[dict[str, float]], None],
) -> History:
    """Learn the projections in place; the epoch with the lowest validation loss is kept.

    Without validation photos the last epoch is kept. `tell` hears each epoch's record: epoch,
    train_loss, val_loss, val_r1, scale. Epoch 0 is the closed-form start. With fewer photos than
    features all that can be learned lies in the photos' span, so it is learned there: a few
    hundred coordinates instead of thousands.
    """
    if len(train) >= train.images.shape[1] // 2:
        return _fit(model, train, val, config, tell)
    with torch.no_grad():
        x = model.standardise(train.images)
        basis: torch.Tensor = torch.linalg.svd(x.double(), full_matrices=False)[2].float()
        start = model.image.weight
        outside = start - (start @ basis.T) @ basis
    if outside.norm() > 1e-3 * start.norm():
        # Towers that share a space start from more than these few photos know: it must stay.
        return _fit(model, train, val, config, tell)
    with torch.no_grad():
        small = Projections(len(basis), model.text.in_features, model.text.out_features)
        shared = {n: v for n, v in model.state_dict().items() if not n.startswith("image")}
        if model.logit_bias is not None:
            small.add_bias(0.0)
        small.load_state_dict(small.state_dict() | shared)
        small.image.weight.copy_(model.image.weight @ basis.T)
        inside = replace(train, images=x @ basis.T)
        beside = val and replace(val, images=model.standardise(val.images) @ basis.T)
    history = _fit(small, inside, beside, config, tell)
    with torch.no_grad():
        learned = {n: v for n, v in small.state_dict().items() if not n.startswith("image")}
        if small.logit_bias is not None and model.logit_bias is None:
            model.add_bias(0.0)
        model.load_state_dict(model.state_dict() | learned)
        model.image.weight.copy_(small.image.weight @ basis)
    return history


def make_optimizer(model: torch.nn.Module, config: PretrainConfig) -> torch.optim.AdamW:
    """AdamW over what may learn; only matrices decay, biases, gains and the temperature do not."""
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    free = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    return torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": free, "weight_decay": 0.0},
        ],
        lr=config.lr_used,
    )


def _fit(
    model: Projections,
    train: Pairs,
    val: Pairs | None,
    config: PretrainConfig,
    tell: Callable[[dict[str, float]], None],
) -> History:
    rng = np.random.default_rng(config.seed)
    model.text.weight.requires_grad_(False)
    if config.loss == "sigmoid" and model.logit_bias is None:
        model.add_bias(START_BIAS)
    optimizer = make_optimizer(model, config)
    steps = config.epochs_used * max(1, math.ceil(len(train) / config.batch_size))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    history = History()
    best = math.inf
    kept: dict[str, torch.Tensor] = {}
    for epoch in range(config.epochs_used + 1):
        losses = []
        if epoch:
            for rows in batches(len(train), config.batch_size, rng):
                picks = draw_several(train, rows, rng, config)
                loss = batch_loss(model, train, rows, picks, config)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(float(loss.detach()))
        record = {
            "epoch": float(epoch),
            "train_loss": _mean(losses),
            "scale": float(model.scale.detach()),
        }
        record |= validate(model, val, config)
        history.records.append(record)
        tell(record)
        measured = record["val_loss"] if val is not None and len(val) > 1 else -float(epoch)
        if measured < best:
            best, history.kept = measured, epoch
            kept = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(kept)
    return history


def batches(n: int, size: int, rng: np.random.Generator) -> list[list[int]]:
    """A seeded order cut into batches; a lone last photo joins the batch before it."""
    order = [int(row) for row in rng.permutation(n)]
    cut = [order[at : at + size] for at in range(0, n, size)]
    if len(cut) > 1 and len(cut[-1]) == 1:
        last = cut.pop()
        cut[-1] += last
    return cut


def validate(model: Projections, val: Pairs | None, config: PretrainConfig) -> dict[str, float]:
    """Loss and retrieval on validation photos, each with its heaviest caption.

    `val_r1` is the share of photos whose own caption is nearest among all validation captions,
    `val_r1_text` that of captions whose own photo is nearest; NaN without at least two photos.
    """
    if val is None or len(val) < 2:
        return dict.fromkeys(("val_loss", "val_r1", "val_r1_text"), math.nan)
    picks = [int(np.argmax(weights)) for weights in val.weights]
    with torch.inference_mode():
        losses, right, found = [], 0, 0
        texts = torch.tensor([own[pick] for own, pick in zip(val.owned, picks, strict=True)])
        image = normalize(model.embed_images(val.images), dim=-1)
        text = model.embed_texts(val.texts[texts])
        for rows in torch.arange(len(val)).split(config.batch_size):
            some = rows.tolist()
            if len(some) > 1:
                own = [[picks[row]] for row in some]
                losses.append(float(batch_loss(model, val, some, own, config)))
            # Photos may share a wording: any copy of the own caption is right.
            right += int((texts[(image[rows] @ text.T).argmax(1)] == texts[rows]).sum())
            found += int((texts[(text[rows] @ image.T).argmax(1)] == texts[rows]).sum())
    return {
        "val_loss": _mean(losses),
        "val_r1": right / len(val),
        "val_r1_text": found / len(val),
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan

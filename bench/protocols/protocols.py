"""The named protocols: bundles of input, recipe, selection, scoring and split.

Facts and line-by-line sources of the published ones: the repositories' code as of 2026. A published rule that is wrong
is reproduced under the name of the protocol that has it, and `defects` says what is wrong.
"""

from __future__ import annotations

from bench.registry import Registry
from bench.types import Input, Protocol, Scoring, Selection

PROTOCOLS: Registry[Protocol] = Registry("protocol")

NATIVE = PROTOCOLS.add(
    "native",
    Protocol(
        name="native",
        input=Input(decoder="pillow-grey", channels=1, multiple=32),
        normalisation="card",
        recipe="published",
        selection=Selection(rule="best", criterion="IoU/pooled", on="held-out"),
        scoring=Scoring(name="native"),
    ),
)
"""This project's own rules, and the default.

Grey images at native size with the dataset's mean and deviation, masks never resized, a stored 20 % of the training
list held out for choosing the epoch, correct false alarms. Each network learns with its published optimiser, schedule
and loss on aligned 256 x 256 crops.
"""

BASICIRSTD = PROTOCOLS.add(
    "basicirstd",
    Protocol(
        name="basicirstd",
        input=Input(decoder="pillow-grey", channels=1, multiple=32),
        normalisation="card",
        recipe="basicirstd",
        selection=Selection(rule="last"),
        scoring=Scoring(name="basicirstd"),
        splits=(("NUAA-SIRST", "basicirstd"), ("NUDT-SIRST", "basicirstd"), ("IRSTD-1k", "basicirstd")),
        defects="mean and std are taken over training and test images together",
    ),
)
"""BasicIRSTD: one recipe for every network, the last of 400 epochs, native size padded to a multiple of 32.

Scores are those of its code since 2024-01-25 (false alarms by identity of the component, not by equal area).
"""

DFINET = PROTOCOLS.add(
    "dfinet",
    Protocol(
        name="dfinet",
        input=Input(decoder="opencv-bgr", channels=3, size=(256, 256)),
        normalisation="fixed",
        recipe="dfinet",
        selection=Selection(rule="best", criterion="loss", on="test"),
        scoring=Scoring(name="dfinet", ground_truth="soft", resolution="network"),
        splits=(("NUDT-SIRST", "dfinet"), ("IRSTD-1k", "basicirstd"), ("SIRST-Aug", "dfinet")),
        defects=(
            "masks are resized bilinearly and never binarised again, so that a perfect predictor scores IoU 0.50 on "
            "NUAA-SIRST at 256 x 256; the epoch is chosen on the test list; feedback masks ignore the augmentation"
        ),
    ),
)
"""DFINet's scripts: everything resized to 256 x 256, soft ground truth, the epoch chosen on the test list.

Wrong in three ways, kept because published numbers were made so: (1) the ground truth is the bilinearly resized mask,
read in five different ways, so that a perfect predictor gets IoU 0.4997, Pd 0.988 and Fa 2.5e-6 on NUAA-SIRST
(NUDT-SIRST, natively 256 x 256, is unaffected); (2) schedule and checkpoint follow the loss on the test list;
(3) history and start masks are not aligned with the augmented image. Its scores carry `legacy:` ids. Every round here
starts afresh; what the script prints, whose accumulators are never reset between rounds, is in the ids that end in
`cumulative-rounds`.
"""

LESPS = PROTOCOLS.add(
    "lesps",
    Protocol(
        name="lesps",
        input=Input(
            decoder="pillow-grey",
            channels=1,
            mean=95.010,
            std=41.511,
            multiple=32,
            padding="further",
            source="LESPS' script: of SIRST3",
        ),
        normalisation="fixed",
        recipe="basicirstd",
        selection=Selection(rule="last"),
        scoring=Scoring(name="lesps"),
        splits=(("NUAA-SIRST", "basicirstd"), ("NUDT-SIRST", "basicirstd"), ("IRSTD-1k", "basicirstd")),
        defects="images are padded by a further 32 pixels where they need none; mean and std are of another dataset",
    ),
)
"""LESPS at 9292bba: BasicIRSTD's lists and scores on networks that learn from three datasets at once.

Every image is padded up to the next larger multiple of 32, so that 256 x 256 becomes 288 x 288, which moves what a
network predicts near the right and bottom border; mean and deviation are those of SIRST3 for every dataset.
"""

RPCANET = PROTOCOLS.add(
    "rpcanet",
    Protocol(
        name="rpcanet",
        input=Input(decoder="opencv-grey", channels=1, mean=0.0, std=255.0, size=(256, 256)),
        normalisation="fixed",
        recipe="published",
        selection=Selection(rule="best", criterion="IoU/pooled", on="test"),
        scoring=Scoring(
            name="rpcanet", resolution="network", matching="overlap", normalise="max", mask_resize="opencv-nearest"
        ),
        splits=(("NUAA-SIRST", "sirst-v1"), ("NUDT-SIRST", "basicirstd")),
        defects=(
            "every map is divided by its highest probability, so that something is predicted in every image (its "
            "own IoU and F1 are taken before that, up to 0.04 points higher); a target is found by one pixel; false "
            "alarms are pixels, halos of found targets among them, in units of 1e-5"
        ),
    ),
)
"""RPCANet at 25da080: everything resized to 256 x 256, masks by nearest neighbour, maps divided by their maximum."""

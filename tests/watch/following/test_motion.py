"""The filter against the textbook's matrices."""

import numpy as np

from resight.watch.following.motion import CHANGE, SEEN, SPEED, Motion


def test_as_the_textbook_has_it() -> None:
    """Eight numbers, (8, 8) covariances, inverses: predict and update as Kalman wrote them."""
    random = np.random.default_rng(0)
    box = np.array([100.0, 50.0, 140.0, 150.0])
    motion = Motion(box)
    state = np.concatenate([[120, 100, 40, 100], np.zeros(4)])
    spread = np.diag(np.concatenate([(SEEN * 100) ** 2, (SPEED * 100) ** 2]))
    look = np.hstack([np.eye(4), np.zeros((4, 4))])
    for _ in range(15):
        seconds = float(random.uniform(0.02, 0.5))
        change = np.diag((CHANGE * state[3]) ** 2)
        step = np.block([[np.eye(4), seconds * np.eye(4)], [np.zeros((4, 4)), np.eye(4)]])
        push = np.block(
            [[change * seconds**3 / 3, change * seconds**2 / 2], [change * seconds**2 / 2, change * seconds]]
        )
        state, spread = step @ state, step @ spread @ step.T + push
        motion.advance(seconds)
        box = box + random.normal(0, 3, 4)
        seen = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]])
        noise = np.diag((SEEN * seen[3]) ** 2)
        gain = spread @ look.T @ np.linalg.inv(look @ spread @ look.T + noise)
        state, spread = state + gain @ (seen - look @ state), spread - gain @ look @ spread
        motion.update(box)
        assert np.allclose(motion.mean.T.ravel(), state) and np.allclose(motion.spread[:, 0, 0], np.diag(spread)[:4])


def test_a_steady_walk_is_foreseen() -> None:
    """After two seconds at 60 pixels a second the next place is known to a few pixels, also half a second ahead."""
    motion = Motion(np.array([0.0, 0.0, 40.0, 100.0]))
    for step in range(1, 21):
        motion.advance(0.1)
        motion.update(np.array([6.0 * step, 0.0, 40.0 + 6 * step, 100.0]))
    motion.advance(0.5)
    assert np.allclose(motion.box, [150, 0, 190, 100], atol=3)
    near, far = motion.far(np.array([[150.0, 0, 190, 100], [450, 0, 490, 100]]))
    assert near < 1 and far > 9.21

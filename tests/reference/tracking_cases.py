"""Made-up truth and trackers for the scores of tracks, as lines of the MOTChallenge; the same on every machine."""

import numpy as np

CASES = 6
FRAMES = 40


def lines(case):
    """(truth, found): people who walk about, and a tracker that misses, invents, shakes, switches and loses them.

    From case 3 on the truth has classes, distractors and rows that do not count.
    """
    rng = np.random.RandomState(case)  # its numbers never change
    people = 4 + 2 * case
    speed = rng.uniform(-6, 6, (people, 2))
    start = rng.uniform(0, 400, (people, 2))
    size = rng.uniform(20, 60, people)
    kinds = rng.choice([1, 1, 1, 2, 7, 8, 12, 3], people) if case >= 3 else np.ones(people, int)
    label = np.arange(1, people + 1) * 3
    truth, found, fresh = [], [], 1000
    for frame in range(1, FRAMES + 1):
        if frame % 17 == 0:
            continue  # nobody is there
        if rng.uniform() < 0.1:
            pair = rng.permutation(people)[:2]
            label[pair] = label[pair[::-1]]  # two are mixed up
        for who in range(people):
            if rng.uniform() < 0.02:
                fresh += 1
                label[who] = fresh  # a switch
            x, y = start[who] + frame * speed[who]
            width, height = size[who], 2.2 * size[who]
            if not 5 * who % 9 < frame <= FRAMES - 3 * who % 7:
                continue
            counts = 0 if case >= 3 and rng.uniform() < 0.05 else 1
            truth.append(f"{frame},{who + 1},{x:.2f},{y:.2f},{width:.2f},{height:.2f},{counts},{kinds[who]},1")
            if rng.uniform() < 0.12:
                continue
            dx, dy, dw = rng.normal(0, 0.08 * width, 3)
            found.append(f"{frame},{label[who]},{x + dx:.2f},{y + dy:.2f},{width + dw:.2f},{height:.2f},1,-1,-1,-1")
        if rng.uniform() < 0.3:
            x, y = rng.uniform(0, 400, 2)
            found.append(f"{frame},{2000 + frame // 5},{x:.2f},{y:.2f},40.00,80.00,1,-1,-1,-1")
    return truth, found

"""The workloads: families with parameters drawn from the seed, spread over the disks. It refuses draws that depend on a measurement:
the list is known before the first byte is written."""
import random

KIB = 1024


def light_reads(r, d):
    return dict(reads=100, direct=1, bs=r.choice([4, 8]) * KIB, threads=4, rate=r.uniform(0.1, 0.3) * d.iops)


def busy_reads(r, d):
    return dict(reads=100, direct=1, bs=r.choice([4, 8]) * KIB, threads=r.randint(2, 6), rate=r.uniform(0.45, 0.75) * d.iops)


def one_reader(r, d):
    return dict(reads=100, direct=1, bs=r.choice([4, 16]) * KIB, threads=1)


def steady_log(r, d):
    return dict(fsync=1, bs=4 * KIB, threads=3, rate=r.uniform(0.03, 0.10) * d.iops)


def stream(r, d):
    bs = r.choice([128, 512])
    return dict(reads=r.choice([0, 100]), direct=1, seq=1, bs=bs * KIB, threads=2, rate=r.uniform(0.3, 0.7) * d.mibps * 1024 / bs)


def flood_reads(r, d):
    return dict(reads=100, direct=1, bs=r.choice([4, 8, 16]) * KIB, threads=r.randint(12, 48))


def flood_writes(r, d):
    return dict(direct=1, bs=r.choice([4, 8, 16]) * KIB, threads=r.randint(12, 48))


def bulk(r, d):
    return dict(reads=r.choice([0, 100]), direct=1, seq=1, bs=r.choice([256, 1024]) * KIB, threads=r.randint(6, 16))


def sync_storm(r, d):
    return dict(fsync=1, bs=4 * KIB, threads=r.randint(12, 32))


def over_quota(r, d):
    return dict(reads=50, direct=1, bs=4 * KIB, threads=r.randint(16, 32), rate=r.uniform(1.15, 1.6) * d.iops)


def burn_reads(r, d):
    return dict(reads=100, direct=1, bs=4 * KIB, threads=3, rate=r.uniform(0.2, 0.5) * d.iops, burn=3)


def dump(r, d):
    return dict(fsync=1, seq=1, bs=1024 * KIB, threads=r.randint(2, 4))


def mixed(r, d):
    return dict(reads=70, direct=1, bs=16 * KIB, threads=8, rate=r.uniform(0.4, 0.7) * min(d.iops, d.mibps * 64))


# In this order quiet and loud ones alternate, so that any run of it holds both.
FAMILIES = [light_reads, flood_writes, one_reader, sync_storm, stream, over_quota, busy_reads, bulk, steady_log, flood_reads, mixed, dump, burn_reads]


def draw(disks, per_disk, seed):
    """[(disk, family's name, load's arguments)], disk by disk: each family comes up once before any comes up again."""
    out = []
    for i, disk in enumerate(disks):
        r = random.Random(f"{seed}/{disk.name}/{disk.iops}/{disk.mibps}")
        chosen = [FAMILIES[(seed + i * per_disk + j) % len(FAMILIES)] for j in range(per_disk)]
        r.shuffle(chosen)
        for family in chosen:
            arguments = {key: round(value, 1) if isinstance(value, float) else value for key, value in family(r, disk).items()}
            out.append((disk, family.__name__, dict(arguments, seed=r.randint(1, 9999))))
    return out


def light(size, disk, window):
    """What the baseline of one size class is learned from: some 24 operations a window, or a twentieth of the quota."""
    rate = 30 / window
    if size == "small":
        return dict(reads=50, direct=1, bs=8 * KIB, threads=2, rate=max(rate, 0.05 * disk.iops))
    return dict(reads=50, direct=1, bs=(96 if size == "medium" else 768) * KIB, threads=2, rate=rate)

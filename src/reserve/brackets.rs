//! Shares that fall as the amount grows (6 % of the first core, 1 % of the second ...). Whole numbers only; both roundings of the field.

/// Everything above the bracket before it, up to `up_to`, at `rate` hundredths of a per cent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bracket {
    /// Where the bracket ends, in the unit of the amount.
    pub up_to: u64,
    /// Hundredths of a per cent: 25 is 0.25 %.
    pub rate: u32,
}

/// `(up_to, rate)` pairs as brackets.
pub const fn brackets<const N: usize>(pairs: [(u64, u32); N]) -> [Bracket; N] {
    let mut all = [Bracket { up_to: 0, rate: 0 }; N];
    let mut i = 0;
    while i < N {
        all[i] = Bracket { up_to: pairs[i].0, rate: pairs[i].1 };
        i += 1;
    }
    all
}

/// CPU shares of EKS, GKE and Bottlerocket, in millicores: 6 %, 1 %, 0.5 %, 0.5 %, then 0.25 %.
pub const CPU: [Bracket; 4] = brackets([(1_000, 600), (2_000, 100), (4_000, 50), (u64::MAX, 25)]);
/// CPU shares of AKS, in millicores: 6 %, 4 %, 2 %, 2 %, then 1 %.
pub const AKS_CPU: [Bracket; 4] = brackets([(1_000, 600), (2_000, 400), (4_000, 200), (u64::MAX, 100)]);
/// Memory shares of GKE and of AKS before 1.29, in MiB: 25 % of 4 GiB, 20 % of the next 4, 10 % of 8, 6 % of 112, then 2 %.
pub const MEMORY_MIB: [Bracket; 5] =
    brackets([(4_096, 2_500), (8_192, 2_000), (16_384, 1_000), (131_072, 600), (u64::MAX, 200)]);

/// The sum in ten-thousandths of the amount's unit, before any rounding; each bracket's part apart.
fn parts(amount: u64, brackets: &[Bracket]) -> impl Iterator<Item = u128> + '_ {
    let mut below = 0;
    brackets.iter().map(move |bracket| {
        let inside = amount.min(bracket.up_to).saturating_sub(below);
        below = bracket.up_to.max(below);
        u128::from(inside) * u128::from(bracket.rate)
    })
}

/// Each bracket's part cut off by itself, as EKS and GKE do.
pub fn floor_each(amount: u64, brackets: &[Bracket]) -> u64 {
    parts(amount, brackets).map(|part| small(part / 10_000)).fold(0, u64::saturating_add)
}

/// The sum cut off once, as AKS before 1.29 did.
pub fn floor_sum(amount: u64, brackets: &[Bracket]) -> u64 {
    small(parts(amount, brackets).sum::<u128>() / 10_000)
}

fn small(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

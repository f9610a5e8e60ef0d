//! Which act comes when: one act only, or the mix of a national service.

use serde::Serialize;

/// What is asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// 処方箋登録, `Task/$register`.
    Register,
    /// 重複投薬等チェック, `$medication-check`.
    Check,
    /// 本人確認, `Patient/$verify-identity`.
    Identify,
    /// 受付, `Task/$accept`.
    Accept,
    /// 調剤結果登録, `Task/{id}/$dispense`.
    Dispense,
    /// `GET Task/{id}`.
    Read,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 6] =
        [Self::Register, Self::Check, Self::Identify, Self::Accept, Self::Dispense, Self::Read];

    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Check => "check",
            Self::Identify => "identify",
            Self::Accept => "accept",
            Self::Dispense => "dispense",
            Self::Read => "read",
        }
    }
}

/// What the German service has to bear each second, in our acts: creations are registrations, activations are checks
/// before signing (neither service lets a prescription out unseen), an acceptance is an identity check and an
/// acceptance (ours takes no number without the patient), closings are dispensings, readings read a Task.
pub const NATIONAL: [(Act, u32); 6] = [
    (Act::Register, 390),
    (Act::Check, 395),
    (Act::Identify, 240),
    (Act::Accept, 240),
    (Act::Dispense, 120),
    (Act::Read, 310),
];

/// Acts in an order that comes again and again, each spread as evenly as its share allows.
#[derive(Clone, Debug)]
pub struct Mix {
    order: Vec<Act>,
    shares: Vec<(Act, u32)>,
}

impl Mix {
    /// Always the same act.
    pub fn only(act: Act) -> Self {
        Self { order: vec![act], shares: vec![(act, 1)] }
    }

    /// Acts by their shares.
    pub fn of(shares: &[(Act, u32)]) -> Self {
        let whole: i64 = shares.iter().map(|(_, share)| i64::from(*share)).sum();
        let mut credits: Vec<i64> = vec![0; shares.len()];
        let order = (0..whole).filter_map(|_| {
            for (credit, (_, share)) in credits.iter_mut().zip(shares) {
                *credit += i64::from(*share);
            }
            let (at, credit) = credits.iter_mut().enumerate().max_by_key(|(_, credit)| **credit)?;
            *credit -= whole;
            shares.get(at).map(|(act, _)| *act)
        });
        Self { order: order.collect(), shares: shares.to_vec() }
    }

    /// The act of turn `n`.
    pub fn turn(&self, n: usize) -> Act {
        self.order[n % self.order.len()]
    }

    /// How many of the first `turns` are this act, rounded up to whole rounds of the order and one more.
    pub fn need(&self, act: Act, turns: usize) -> usize {
        let whole: u32 = self.shares.iter().map(|(_, share)| share).sum();
        let share: u32 = self.shares.iter().filter(|(of, _)| *of == act).map(|(_, share)| share).sum();
        if share == 0 { 0 } else { (turns * share as usize).div_ceil(whole.max(1) as usize) + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_gets_its_share_and_is_spread() {
        let mix = Mix::of(&NATIONAL);
        let turns: Vec<Act> = (0..1695).map(|n| mix.turn(n)).collect();
        for (act, share) in NATIONAL {
            assert_eq!(turns.iter().filter(|turn| **turn == act).count(), share as usize, "{act:?}");
            // No act is away for more than twice its mean distance.
            let mean = 1695.0 / f64::from(share);
            let at: Vec<usize> = (0..1695).filter(|n| turns[*n] == act).collect();
            let longest = at.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
            assert!(f64::from(u32::try_from(longest).unwrap()) <= 2.0 * mean + 1.0, "{act:?}: {longest}");
            assert!(mix.need(act, 1695) > share as usize);
        }
        assert_eq!(mix.turn(0), mix.turn(1695));
        assert_eq!(Mix::only(Act::Read).need(Act::Check, 100), 0);
    }
}

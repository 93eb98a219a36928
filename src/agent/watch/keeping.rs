//! When the history is asked what it says, and when it is kept on disk: at the start and with each new point, and once an hour. It refuses to let go of a
//! point whose question has got lost, and to ask twice for one that was answered, however it was.

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Keeping {
    /// A point has begun, or the daemon itself, that nobody has answered for.
    owed: bool,
    /// A full hour is not on disk yet.
    hour: bool,
    /// Since the last time that it went well, a failure was told.
    told: bool,
}

impl Keeping {
    /// At the start: what there is already says something, or why there is nothing.
    pub(super) fn new() -> Self {
        Self { owed: true, hour: false, told: false }
    }

    /// A point has begun at this minute since 1970.
    pub(super) fn noted(&mut self, minute: u32) {
        self.owed = true;
        self.hour |= minute.is_multiple_of(60);
    }

    /// What to ask now, if anything: whether it is to be kept as well. `keep` is what the settings say.
    pub(super) fn due(&self, keep: bool) -> Option<bool> {
        self.owed.then_some(keep && self.hour)
    }

    /// A question was answered: whether it was one to keep it, and what came of that (none: the child ended without a word). Words for the log, where they
    /// are news. What could not be kept is kept with the next point, and not at once: a disk that is full stays so for a while.
    pub(super) fn answered(&mut self, keep: bool, kept: Option<Result<(), String>>, wanted: bool) -> Option<String> {
        // The hour was full while a question was out that did not ask for it.
        self.owed = !keep && wanted && self.hour;
        match kept? {
            Ok(()) if keep => (self.hour, self.told) = (false, false),
            Ok(()) => {}
            Err(why) if !std::mem::replace(&mut self.told, true) => return Some(why),
            Err(_) => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_got_lost_is_asked_again_until_it_is_answered() {
        let mut all = Keeping::new();
        assert_eq!(all.due(true), Some(false), "at the start");
        assert_eq!(all.answered(false, Some(Ok(())), true), None);
        assert_eq!(all.due(true), None);
        all.noted(1_215);
        assert_eq!((all.due(true), all.due(true)), (Some(false), Some(false)), "nobody has answered");
        assert_eq!(all.answered(false, Some(Ok(())), true), None);
        assert_eq!(all.due(true), None, "one answer is enough");
        all.noted(1_260);
        assert_eq!((all.due(true), all.due(false)), (Some(true), Some(false)), "a full hour, where that is wanted");
        assert_eq!(all.answered(true, Some(Ok(())), true), None);
        all.noted(1_275);
        assert_eq!(all.due(true), Some(false), "the hour is kept");
    }

    #[test]
    fn what_was_not_kept_is_kept_with_the_next_point_and_told_once() {
        let mut all = Keeping::new();
        all.noted(1_260);
        assert_eq!(all.answered(true, Some(Err("full".to_owned())), true), Some("full".to_owned()));
        assert_eq!(all.due(true), None, "not at once");
        all.noted(1_275);
        assert_eq!(all.due(true), Some(true));
        assert_eq!(all.answered(true, Some(Err("full".to_owned())), true), None, "once");
        all.noted(1_290);
        assert_eq!(all.answered(true, None, true), None);
        assert_eq!(all.due(true), None, "a child that ended without a word is an answer");
        all.noted(1_305);
        assert_eq!(all.answered(true, Some(Ok(())), true), None);
        all.noted(1_320);
        assert_eq!(all.answered(true, Some(Err("full".to_owned())), true), Some("full".to_owned()), "news again");
    }

    #[test]
    fn an_hour_that_is_full_while_another_question_is_out_is_asked_for_after_it() {
        let mut all = Keeping::new();
        all.noted(1_245);
        all.noted(1_260);
        assert_eq!(all.answered(false, Some(Ok(())), true), None);
        assert_eq!(all.due(true), Some(true));
        assert_eq!(all.answered(true, Some(Ok(())), true), None);
        assert_eq!(all.due(true), None);
        all.noted(1_320);
        assert_eq!(all.answered(false, Some(Ok(())), false), None);
        assert_eq!(all.due(false), None, "nothing is owed where nothing is to be kept");
    }
}

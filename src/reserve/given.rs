//! `static`: no formula, only the quantities given under `kube_reserved` and `system_reserved`. It refuses to reserve nothing silently.

use super::{Input, Profile, Reserved, Rules};

/// See the head of this file.
#[derive(Debug)]
pub struct Given;

impl Profile for Given {
    fn name(&self) -> &'static str {
        "static"
    }

    fn summary(&self) -> &'static str {
        "no formula: the quantities or percentages given in the settings"
    }

    fn reserve(&self, _: &Input, rules: &Rules) -> Result<Reserved, String> {
        if rules.kube_reserved.is_empty() && rules.system_reserved.is_empty() {
            return Err(
                "the profile static needs quantities under [reserve.kube_reserved] or [reserve.system_reserved]"
                    .to_owned(),
            );
        }
        Ok(Reserved::default())
    }
}

//! Wiring: settings to rooms, facts to a plan, a plan to the machine. It refuses arithmetic and parsing of its own: the rooms below do those.

pub mod attachments;
pub mod bootstrap;
mod capacity;
pub mod capture;
mod choices;
pub mod eviction;
pub mod fix;
pub mod forecast;
pub mod judge;
pub mod pages;
pub mod pods;
pub mod protect;
pub mod recommend;
pub mod replay;
pub mod schema;
pub mod settings;
pub mod turn;
mod usage;
pub mod volume;
pub mod watch;

pub use forecast::{Forecast, Question};
pub use settings::Settings;

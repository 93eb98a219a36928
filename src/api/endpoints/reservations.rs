//! `GET /v1/reservations`: this machine's reservations, as `reserve -o json` prints them. It refuses to compute them anew.

use super::super::Api;
use super::super::request::Answer;
use super::fine;

pub(super) fn show(api: &Api) -> Answer {
    fine(&api.published.borrow().reservations)
}

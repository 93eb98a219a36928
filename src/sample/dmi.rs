//! What the firmware says about the machine: EC2 instance type and product UUID. It refuses to take another vendor's product name for an instance type.

use super::text_file;
use crate::host::Host;
use crate::model::Reading;

const DMI: &str = "/sys/class/dmi/id";

/// The instance type on EC2 Nitro, whose firmware names it as product; elsewhere absent.
pub(super) fn instance_type(host: &Host) -> Reading<String> {
    let vendor = text_file(host, &format!("{DMI}/sys_vendor"), |text| Ok(text.to_owned()));
    match vendor.value().map(String::as_str) {
        Some("Amazon EC2") => match text_file(host, &format!("{DMI}/product_name"), |text| Ok(text.to_owned())) {
            Reading::Fresh { value, from } if value.contains('.') => Reading::fresh(value, from),
            Reading::Fresh { value, .. } => {
                Reading::absent(format!("{DMI}/product_name {value:?} is no instance type (EC2 before Nitro)"))
            }
            other => other,
        },
        Some(other) => Reading::absent(format!("{DMI}/sys_vendor is {other:?}, not Amazon EC2")),
        None => vendor,
    }
}

/// The product UUID, in lower case. Readable by root only.
pub(super) fn product_uuid(host: &Host) -> Reading<String> {
    text_file(host, &format!("{DMI}/product_uuid"), |text| Ok(text.to_lowercase()))
}

//! systemd over D-Bus: the one call that the daemon lives on, through a proxy of our own with just that method.
//! It refuses to start a unit or to change anything.
use anyhow::Result;
use zbus::OwnedObjectPath;

/// Name, description, load, active, sub, following, path, and the queued job's number, type and path.
type Unit = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
pub trait Manager {
    fn list_units(&self) -> zbus::Result<Vec<Unit>>;
}

pub type Bus = ManagerProxy<'static>;

pub async fn connect() -> Result<Bus> {
    let connection = zbus::Connection::system().await?;
    Ok(ManagerProxy::builder(&connection).cache_properties(zbus::proxy::CacheProperties::No).build().await?)
}

/// Counts only what has a name and an object, so that a reply of another shape is not taken for units.
pub async fn count_units(bus: &Bus) -> Result<usize> {
    Ok(bus
        .list_units()
        .await?
        .iter()
        .filter(|unit| unit.0.contains('.') && unit.6.starts_with("/org/freedesktop/systemd1/unit/"))
        .count())
}

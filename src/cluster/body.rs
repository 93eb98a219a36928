//! An answer's body, up to a size. It refuses to grow beyond it.

use bytes::Bytes;
use http_body_util::BodyExt;
use kube::client::Body;

use super::error::Error;

/// The next piece; none at the end.
pub(super) async fn piece(body: &mut Body, patience_ms: u64) -> Result<Option<Bytes>, Error> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::of_transport(&error, patience_ms))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// All of it.
pub(super) async fn whole(mut body: Body, most: usize, patience_ms: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = piece(&mut body, patience_ms).await? {
        if bytes.len() + piece.len() > most {
            return Err(Error::Garbage(format!("it is larger than {most} bytes")));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

//! How many calls may be under way in the process, and how many bytes of messages they may hold.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tonic::Status;

use super::{ServerOptions, errors, own::Own};

/// Counts the calls that are under way in the process and turns away those beyond a limit.
#[derive(Debug)]
pub(super) struct Gate {
    limit: usize,
    in_flight: AtomicUsize,
    message_limit: usize,
    byte_limit: usize,
    held: AtomicUsize,
    calls_shed: AtomicU64,
    bytes_shed: AtomicU64,
}

/// Bytes of a message that is not worth counting: the limit on calls bounds these. Large messages
/// that fill all the room there is leave small ones alone.
const SMALL: usize = 16 * 1024;

/// The gate as it is seen from one connection.
pub(super) type Door = Own<Gate>;

impl Door {
    /// Takes a place for a call.
    pub fn enter(&self) -> Result<Place, Status> {
        let gate = &**self;
        if gate.in_flight.fetch_add(1, Ordering::Relaxed) < gate.limit {
            return Ok(Place { gate: self.clone(), held: AtomicUsize::new(0) });
        }
        gate.in_flight.fetch_sub(1, Ordering::Relaxed);
        gate.calls_shed.fetch_add(1, Ordering::Relaxed);
        Err(errors::overloaded(gate.limit))
    }
}

/// The place of one call under way, with the bytes of its message.
#[derive(Debug)]
pub(super) struct Place {
    gate: Door,
    held: AtomicUsize,
}

impl Gate {
    /// The gate that those options ask for.
    pub fn new(options: &ServerOptions) -> Self {
        Self {
            limit: options.concurrent_requests,
            in_flight: AtomicUsize::new(0),
            message_limit: options.message_bytes,
            byte_limit: options.held_bytes,
            held: AtomicUsize::new(0),
            calls_shed: AtomicU64::new(0),
            bytes_shed: AtomicU64::new(0),
        }
    }

    /// Calls under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Calls that were turned away because too many were under way.
    pub fn calls_shed(&self) -> u64 {
        self.calls_shed.load(Ordering::Relaxed)
    }

    /// Calls that were turned away because too many bytes were held.
    pub fn bytes_shed(&self) -> u64 {
        self.bytes_shed.load(Ordering::Relaxed)
    }
}

impl Place {
    /// Holds a message of so many bytes, if that many more may be held in the process.
    ///
    /// A message that is larger than any may be is refused by its reader.
    pub fn hold(&self, bytes: usize) -> Result<(), Status> {
        if bytes <= SMALL || bytes > self.gate.message_limit {
            return Ok(());
        }
        let more = bytes.saturating_sub(self.held.fetch_max(bytes, Ordering::Relaxed));
        if self.gate.held.fetch_add(more, Ordering::Relaxed) + more <= self.gate.byte_limit {
            return Ok(());
        }
        self.gate.bytes_shed.fetch_add(1, Ordering::Relaxed);
        Err(errors::too_much_held(self.gate.byte_limit))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let held = *self.held.get_mut();
        if held > 0 {
            self.gate.held.fetch_sub(held, Ordering::Relaxed);
        }
        self.gate.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use tonic::Code;

    use super::*;

    #[test]
    fn calls_beyond_the_limit_are_shed_until_one_ends() {
        let gate = gate();
        let door = Door::new(Arc::clone(&gate));
        let first = door.enter().unwrap();
        let _second = door.enter().unwrap();
        let status = door.enter().map(|_| ()).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!((gate.in_flight(), gate.calls_shed()), (2, 1));
        drop(first);
        assert!(door.enter().is_ok());
        assert_eq!((gate.in_flight(), gate.calls_shed()), (1, 1));
    }

    fn gate() -> Arc<Gate> {
        let options = ServerOptions {
            concurrent_requests: 2,
            message_bytes: 90_000,
            held_bytes: 100_000,
            ..ServerOptions::default()
        };
        Arc::new(Gate::new(&options))
    }

    #[test]
    fn bytes_beyond_the_limit_are_refused_until_a_call_ends() {
        let gate = gate();
        let door = Door::new(Arc::clone(&gate));
        let (first, second) = (door.enter().unwrap(), door.enter().unwrap());
        first.hold(40_000).unwrap();
        first.hold(80_000).unwrap();
        first.hold(20_000).unwrap();
        assert_eq!(second.hold(30_000).unwrap_err().code(), Code::ResourceExhausted);
        second.hold(SMALL).unwrap();
        // Its reader says what is wrong with it.
        second.hold(90_001).unwrap();
        drop(second);
        let second = door.enter().unwrap();
        second.hold(20_000).unwrap();
        drop(first);
        second.hold(90_000).unwrap();
        drop(second);
        assert_eq!(gate.held.load(Ordering::Relaxed), 0);
    }
}

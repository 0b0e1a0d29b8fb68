import Config
import Engine
import Primitives
import Session

/// `SET key = value`: one global setting, in force until the next reload. Not in the table of commands: its
/// form is its own.
enum SetCommand {
    static let words = "SET"
    static let usage = "key = value"
    static let doc = "Changes one setting until the next RELOAD or restart."

    static func run(
        key: ByteString, value: ByteString, now: Instant, on switchboard: inout Switchboard,
        into actions: inout ActionList
    ) -> Outcome {
        switch switchboard.snapshot.setting(key, to: value) {
        case .failure(let error):
            return .failed("SET failed", detail: ByteString(error.text))
        case .success(let snapshot):
            switchboard.put(snapshot, inForce: now, into: &actions)
            return .done(ByteString("SET ").appending(key).appending("=").appending(value))
        }
    }
}

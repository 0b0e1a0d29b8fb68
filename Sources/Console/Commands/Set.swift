package import Config
import Engine
package import Primitives
import Session

/// Makes what connections that begin from here on are encrypted with, from these settings. The answer is why
/// that cannot be done, and then everything stays as it was; `nil` when it is done.
package typealias TLSChange = (GlobalSettings) -> ByteString?

/// `SET key = value`: one global setting, in force until the next reload. Not in the table of commands: its
/// form is its own.
enum SetCommand {
    static let words = "SET"
    static let usage = "key = value"
    static let doc = "Changes one setting until the next RELOAD or restart."

    static func run(
        key: ByteString, value: ByteString, _ secure: TLSChange, now: Instant,
        on switchboard: inout Switchboard,
        into actions: inout ActionList
    ) -> Outcome {
        switch switchboard.snapshot.setting(key, to: value) {
        case .failure(let error):
            return .failed("SET failed", detail: ByteString(error.text))
        case .success(let snapshot):
            let tag = ByteString("SET ").appending(key).appending("=").appending(value)
            if concernsTLS(key), let problem = secure(snapshot.global) {
                switchboard.put(snapshot, inForce: now, keepsTLS: true, into: &actions)
                actions.log(.error) { $0.append(problem) }
                return .noticed(
                    "TLS settings could not be applied, still using old configuration", detail: problem,
                    tag: tag)
            }
            switchboard.put(snapshot, inForce: now, into: &actions)
            return .done(tag)
        }
    }

    private static func concernsTLS(_ key: ByteString) -> Bool {
        key.lossyText.contains("_tls_") || key.lossyText.contains("_tls13_") || key == "auth_type"
    }
}

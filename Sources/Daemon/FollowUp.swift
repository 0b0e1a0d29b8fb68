import Engine
import Primitives

/// Something that happened while a list of actions was carried out, and that is an event of its own
/// afterwards.
struct FollowUp {
    enum Kind {
        /// The kernel took less than was to be written.
        case congested
        /// The link failed with `error`; 0 is the end of the file.
        case ended
        /// Reading goes on: what was kept is offered again.
        case offer
        /// A server could not be reached: `error`, or -1 for a name that could not be looked up.
        case openFailed
        /// The TLS handshake begins, with what was kept.
        case handshake
        /// TLS could not be set up for it.
        case noTLS
        /// Read the configuration; for the console client in `link`, or for nobody when that is 0.
        case reload
        /// Letters wait to be put into other workers' mailboxes.
        case mail
        /// The resolver has learned something.
        case news
    }
    var kind: Kind
    var error: Int32 = 0
    var link: UInt64

    static let nameLookup: Int32 = -1
}

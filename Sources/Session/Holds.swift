/// Why a link is not being read just now. Reading goes on when the last reason is gone.
package struct Holds: OptionSet, Equatable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The client stands in line for a server.
    package static let queue = Holds(rawValue: 1)
    /// The peer takes bytes more slowly than they come.
    package static let congestion = Holds(rawValue: 2)
    /// A cancel request for this client's server is under way: nothing new may be sent to that server.
    package static let cancel = Holds(rawValue: 4)
    /// Earlier replies decide what the next request means, or the ledger is full.
    package static let ledger = Holds(rawValue: 8)
    /// The login waits for something outside: a server, a lookup.
    package static let login = Holds(rawValue: 16)
    /// A console command has not been answered yet.
    package static let console = Holds(rawValue: 32)
}

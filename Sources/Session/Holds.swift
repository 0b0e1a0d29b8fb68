/// Why a link is not being read just now. Reading goes on when the last reason is gone.
public struct Holds: OptionSet, Equatable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The client stands in line for a server.
    public static let queue = Holds(rawValue: 1)
    /// The peer takes bytes more slowly than they come.
    public static let congestion = Holds(rawValue: 2)
    /// A cancel request for this client's server is under way: nothing new may be sent to that server.
    public static let cancel = Holds(rawValue: 4)
    /// Earlier replies decide what the next request means, or the ledger is full.
    public static let ledger = Holds(rawValue: 8)
    /// The login waits for something outside: a server, a lookup.
    public static let login = Holds(rawValue: 16)
    /// A console command has not been answered yet.
    public static let console = Holds(rawValue: 32)
    /// SUSPEND is in force.
    public static let suspension = Holds(rawValue: 64)
}

public import Primitives

/// A replication connection: one client and the one server that is opened for it and closed after it. Both
/// sessions point here.
public final class Replication {
    public enum Kind: Equatable, Sendable {
        /// `replication=true`: the server's files and its log.
        case physical
        /// `replication=database`: changes of one database, and SQL.
        case logical

        /// As the server is asked for it.
        public var startupValue: ByteString { self == .physical ? "true" : "database" }
    }

    /// What the value of the startup parameter `replication` asks for.
    public enum Wish: Equatable, Sendable {
        case none
        case kind(Kind)

        /// `nil` for a value that is neither `database` nor a truth value as PostgreSQL reads them.
        public init?(_ value: ByteView) {
            if value.equals("database") {
                self = .kind(.logical)
            } else if Self.begins("true", value) || Self.begins("yes", value) || value.equals("1")
                || value.equalsIgnoringASCIICase("on")
            {
                self = .kind(.physical)
            } else if Self.begins("false", value) || Self.begins("no", value) || value.equals("0")
                || value.equalsIgnoringASCIICase("off") || value.equalsIgnoringASCIICase("of")
            {
                self = .none
            } else {
                return nil
            }
        }

        /// PostgreSQL takes the front of such a word for the word.
        private static func begins(_ word: StaticString, _ value: ByteView) -> Bool {
            let whole = ByteString(word)
            return !value.isEmpty && value.count <= whole.count
                && whole.withView { $0.slice(0, value.count).equalsIgnoringASCIICase(value) }
        }
    }

    public let kind: Kind
    /// `options` of the StartupMessage, for the server as it is.
    public var options: ByteString?
    /// `nil` once the client is gone.
    public var client: ClientID?
    /// The server being opened or in use; `nil` while the client stands in line.
    public var server: ServerID?

    public init(_ kind: Kind) { self.kind = kind }
}

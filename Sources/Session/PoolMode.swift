public import Config

/// Every decision that depends on the pool mode. No other file may name a mode; whoever adds one is asked
/// these questions by the compiler.
extension PoolMode {
    /// What SHOW says of the console's own pool.
    public static var ofConsole: PoolMode { .statement }

    /// Whether a server goes back as soon as its transaction is over.
    public var releasesBetweenTransactions: Bool {
        switch self {
        case .session: false
        case .transaction, .statement: true
        }
    }

    /// Whether a transaction may stay open beyond one statement.
    public var allowsTransactionBlocks: Bool {
        switch self {
        case .session, .transaction: true
        case .statement: false
        }
    }

    /// Whether prepared statements are followed and renamed, because the next request may meet another
    /// server.
    public var tracksStatements: Bool {
        switch self {
        case .session: false
        case .transaction, .statement: true
        }
    }

    /// Whether a server is reset before its next client.
    public func resets(always: Bool) -> Bool {
        switch self {
        case .session: true
        case .transaction, .statement: always
        }
    }
}

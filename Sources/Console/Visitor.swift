import Engine
import Primitives
import Session
import Wire

/// What is kept of one console client from message to message.
struct Visitor {
    /// Which protocol a command came by decides what follows its answer.
    enum Manner: Equatable {
        /// Query: ReadyForQuery follows.
        case simple
        /// Execute: nothing follows until Sync.
        case extended
    }

    /// When a command that waits gives up, and after which time that is.
    struct Timeout {
        let at: Instant
        let span: TimeSpan
    }

    /// A prepared statement is a command that was understood: nothing of its text is kept.
    struct Statement {
        let command: Command
        /// Types of its parameters by PostgreSQL's numbers, as Parse declared them or as we have found.
        var parameters: [UInt32] = []
    }

    struct Portal {
        enum Progress {
            case fresh
            /// Rows that a row limit has left over.
            case rows([[Cell]])
            case finished
        }

        let command: Command
        let formats: ResultFormats
        var values: [SQLValue] = []
        var progress = Progress.fresh
    }

    /// What ReadyForQuery says. Nothing here can be rolled back, so an error spoils no transaction.
    var status = TransactionStatus.idle
    /// The command that has not been answered yet.
    var waiting: (wait: ConsoleWait, manner: Manner, timeout: Timeout?)?
    /// Other workers have been asked for what its command needs; it goes on when all have answered.
    var isGathering = false
    /// Messages that came behind it.
    var backlog: [ConsoleMessage] = []
    var statements: [ByteString: Statement] = [:]
    var portals: [ByteString: Portal] = [:]
    /// After an error in the extended protocol: everything up to Sync is passed over.
    var isSkipping = false
}

import Engine
import Primitives
import Session

/// What is kept of one console client from message to message.
struct Visitor {
    /// Which protocol a command came by decides what follows its answer.
    enum Manner: Equatable {
        /// Query: ReadyForQuery follows.
        case simple
        /// Execute: nothing follows until Sync.
        case extended
    }

    /// A prepared statement is a command that was understood: nothing of its text is kept.
    struct Statement {
        let command: Command
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
        var progress = Progress.fresh
    }

    /// The command that has not been answered yet.
    var waiting: (wait: ConsoleWait, manner: Manner)?
    /// Messages that came behind it.
    var backlog: [ConsoleMessage] = []
    var statements: [ByteString: Statement] = [:]
    var portals: [ByteString: Portal] = [:]
    /// After an error in the extended protocol: everything up to Sync is passed over.
    var isSkipping = false
}

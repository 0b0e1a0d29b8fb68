import Config
import Engine
import Primitives
import Session
import Wire

/// Who may give a command.
enum Audience: Equatable, Sendable {
    /// Names in `admin_users` and in `stats_users`.
    case everybody
    /// Names in `admin_users` only.
    case admins
}

/// The time of an event, and how to write it.
struct Moment: Sendable {
    let now: Instant
    let clock: WallClock
    /// A KILL of everything is in force.
    let isKilled: Bool
    /// What other workers have to add.
    var elsewhere: [any Sendable] = []
}

/// A command that shows a table. Rows are plain values made from the switchboard; the columns say how they
/// look.
protocol ShowCommand: Sendable {
    associatedtype Row: Sendable
    /// "SHOW POOLS"; the second word is what is looked for.
    static var words: String { get }
    /// What it shows, in one sentence.
    static var doc: String { get }
    static var columns: [Column<Row>] { get }
    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [Row]
    /// With several workers: whether the others are asked, what each of them says, and what that comes to
    /// together with our own rows. The keeper's books are about all workers, so many commands need nobody.
    static var asksAll: Bool { get }
    static func share(_ switchboard: borrowing Switchboard, at moment: Moment) -> any Sendable
    static func merged(_ own: [Row], _ shares: [any Sendable], _ switchboard: borrowing Switchboard) -> [Row]
}

extension ShowCommand {
    static var asksAll: Bool { false }
    static func share(_ switchboard: borrowing Switchboard, at moment: Moment) -> any Sendable {
        rows(switchboard, at: moment)
    }
    static func merged(
        _ own: [Row], _ shares: [any Sendable], _ switchboard: borrowing Switchboard
    ) -> [Row] {
        own + shares.flatMap { $0 as? [Row] ?? [] }
    }

    private static func allRows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [Row] {
        let own = rows(switchboard, at: moment)
        return moment.elsewhere.isEmpty ? own : merged(own, moment.elsewhere, switchboard)
    }

    static var headers: [ColumnHeader] { columns.map(\.header) }

    /// Every row as its values.
    static func cells(_ switchboard: borrowing Switchboard, at moment: Moment) -> [[Cell]] {
        let columns = columns
        return allRows(switchboard, at: moment).map { row in columns.map { $0.value(row) } }
    }

    /// Writes the DataRows without keeping them.
    static func write(
        _ switchboard: borrowing Switchboard, at moment: Moment, _ formats: ResultFormats,
        into buffer: inout ByteBuffer
    ) {
        let columns = columns
        for row in allRows(switchboard, at: moment) { buffer.dataRow(columns.map { $0.value(row) }, formats) }
    }
}

/// A command that does something.
protocol OrderCommand: Sendable {
    /// "PAUSE", or two words for one that is told by its argument: "SHOW HELP".
    static var words: String { get }
    /// What stands behind the words: "[db]".
    static var usage: String { get }
    static var doc: String { get }
    static var audience: Audience { get }
    /// Whether `TIMEOUT n` may stand behind it.
    static var takesTimeout: Bool { get }
    /// Whether this can be its argument at all; otherwise the text is no command.
    static func accepts(_ argument: ByteString) -> Bool
    /// Does it; who may do it has been checked.
    static func run(_ call: inout Call, on switchboard: inout Switchboard, into actions: inout ActionList)
        -> Outcome
}

extension OrderCommand {
    static var usage: String { "" }
    static var audience: Audience { .admins }
    static var takesTimeout: Bool { false }
    static func accepts(_ argument: ByteString) -> Bool { true }
}

/// One command on its way through a client's connection.
struct Call {
    let client: ClientID
    /// Empty when there was none.
    let argument: ByteString
    /// Longest wait; `nil` waits for ever.
    let timeout: TimeSpan?
    let now: Instant
    /// What the desk remembers from command to command.
    var memory: Memory
    /// Another worker has found and closed the client that KILL_CLIENT names.
    var isKilledElsewhere = false
}

/// What has to be known beyond the switchboard, of earlier commands of whichever client.
struct Memory: Equatable, Sendable {
    /// Databases that KILL has paused, so that a RESUME without a name can lift it.
    var killed: Set<DatabaseID> = []
    /// The last KILL was for all of them.
    var killedAll = false
}

/// What a command came to.
enum Outcome: Equatable, Sendable {
    case done(ByteString)
    /// Done, with a notice before the tag.
    case noticed(ByteString, detail: ByteString?, tag: ByteString)
    /// Answered when this is over.
    case waits(ConsoleWait)
    case failed(Refusal)
    /// The driver answers: SHOW FDS.
    case handsOver
    /// Answered, and then the pooler ends; without a tag there is no answer.
    case ends(ShutdownMode, ByteString?)
}

extension Outcome {
    static func failed(_ text: ByteString, detail: ByteString? = nil) -> Outcome {
        .failed(.console(text, detail: detail))
    }
}

/// The console's errors. PgBouncer's texts, nearly all with its one code.
extension Refusal {
    static func console(
        _ text: ByteString, state: ByteString = "08P01", detail: ByteString? = nil, hint: ByteString? = nil
    ) -> Refusal {
        Refusal(text, state: state, severity: .error, detail: detail, hint: hint)
    }

    static var adminAccessNeeded: Refusal { .console("admin access needed") }
    static var badArguments: Refusal { .console("bad arguments") }
    static var canceledCommand: Refusal {
        .console("canceling statement due to user request", state: "57014")
    }
    static var reloadFailed: Refusal {
        .console("RELOAD failed, see logs for additional details", state: "F0000")
    }
    /// The obstacles stand one a line in the detail, as many as fit.
    static func timedOut(_ wait: ConsoleWait, after span: TimeSpan, _ obstacles: [ByteString]) -> Refusal {
        let (word, hint): (String, ByteString) =
            switch wait {
            case .pause: ("PAUSE", "KILL_CLIENT ends a client that is in the way.")
            case .close: ("WAIT_CLOSE", "The servers are closed as soon as they are released.")
            case .suspend: ("SUSPEND", "Their clients or servers take nothing; see suspend_timeout.")
            case .shutdown: ("SHUTDOWN", "The shutdown goes on. KILL_CLIENT ends a client, SHUTDOWN all.")
            case .reload: ("RELOAD", "The reload goes on.")
            }
        var lines = obstacles.prefix(Limits.obstacles).map(\.bytes)
        let rest = obstacles.count - lines.count
        if rest > 0 { lines.append(Array("and \(rest) more".utf8)) }
        return .console(
            ByteString("\(word) has waited for \(span.shortSeconds)s and gives up"), state: "57014",
            detail: ByteString(Array(lines.joined(separator: [0x0A]))), hint: hint)
    }

    /// Quotes what was asked for, as far as it fits.
    static func invalidCommand(_ text: ByteString) -> Refusal {
        var length = min(text.count, Limits.quotedBytes)
        // Not in the middle of a character.
        while length > 0, length < text.count, text.bytes[length] & 0xC0 == 0x80 { length -= 1 }
        var quoted = ByteString(Array(text.bytes.prefix(length)))
        if length < text.count { quoted = quoted.appending("...") }
        return .console(ByteString("invalid command '").appending(quoted).appending("', use SHOW HELP;"))
    }
    static func noSuchDatabase(_ name: ByteString) -> Refusal {
        .console(ByteString("no such database: ").appending(name))
    }
}

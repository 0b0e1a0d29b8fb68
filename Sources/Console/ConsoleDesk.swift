package import Config
package import Engine
package import Primitives
import Session
import Wire

/// What a reload of this file would put in force, or what is wrong with it; nothing changes.
package typealias ConfigurationPreview = (_ file: ByteString) -> Result<Snapshot, ConfigErrors>

/// The admin console: the pseudo-database `pgbouncer`, where operators look at the pooler and give it orders.
///
/// The driver calls `serve` after every event that leaves the switchboard with console work. Commands are
/// rows of `CommandTable`, one file each in `Commands/`; a table's columns are rows of name, type, meaning
/// and value. `CommandText` finds a command's words; `ConsoleDesk` gives it to whoever may have it, by Query
/// here and by the extended protocol in `+Extended`. A command that has to wait (PAUSE, WAIT_CLOSE, RELOAD)
/// is answered when the switchboard says so; meanwhile its client is not read, and all others are served.
package struct ConsoleDesk: ~Copyable {
    /// The driver may hand in a new one when the zone's offset changes.
    package var clock: WallClock
    var visitors: [ClientID: Visitor] = [:]
    var memory = Memory()
    var gatherings: [UInt64: Gathering] = [:]
    var lastQuestion: UInt64 = 0
    /// What other workers have answered for the command being run.
    var answers: [ConsoleAnswer] = []
    /// When a command that waits gives up; it may be of one that has been answered meanwhile.
    package private(set) var nextDeadline: Instant?
    /// Reads what a reload of this file would put in force.
    private let preview: ConfigurationPreview
    /// Gets ready for other settings of TLS.
    private let secure: TLSChange

    package init(
        clock: WallClock, preview: @escaping ConfigurationPreview = { _ in .success(Snapshot()) },
        secure: @escaping TLSChange = { _ in nil }
    ) {
        self.clock = clock
        self.preview = preview
        self.secure = secure
    }

    /// Answers everything that console clients have asked for.
    package mutating func serve(
        _ switchboard: inout Switchboard, now: Instant, into actions: inout ActionList
    ) {
        while switchboard.hasConsoleWork {
            for news in switchboard.takeConsoleNews() {
                answer(news, on: &switchboard, now: now, into: &actions)
            }
            for message in switchboard.takeConsoleMessages() {
                take(message, on: &switchboard, now: now, into: &actions)
            }
            for message in switchboard.takeLetterMessages() {
                take(message, on: &switchboard, now: now, into: &actions)
            }
        }
        for client in visitors.keys where !switchboard.isConsole(client) { visitors[client] = nil }
    }

    mutating func take(
        _ message: ConsoleMessage, on switchboard: inout Switchboard, now: Instant,
        into actions: inout ActionList
    ) {
        guard switchboard.isConsole(message.client) else { return }
        if visitors[message.client]?.waiting != nil || visitors[message.client]?.isGathering == true {
            visitors[message.client]?.backlog.append(message)
        } else if actions.scratch.count > Limits.replyBytes {
            let refusal = Refusal("console replies are not being read", state: "53000")
            switchboard.consoleRefuses(message.client, refusal, now: now, into: &actions)
        } else if !switchboard.crew.isAlone, let question = question(for: message, switchboard) {
            gather(question, for: message, on: &switchboard, into: &actions)
        } else {
            handle(message, on: &switchboard, now: now, into: &actions)
        }
    }

    mutating func handle(
        _ message: ConsoleMessage, on switchboard: inout Switchboard, now: Instant,
        into actions: inout ActionList
    ) {
        let client = message.client
        let visitor = visitors[client, default: Visitor()]
        let isSync = message.kind == ClientMessageKind.sync.rawValue
        if visitor.isSkipping, !isSync { return }
        guard let kind = ClientMessageKind(rawValue: message.kind) else { return }
        switch kind {
        case .query:
            query(message, on: &switchboard, now: now, into: &actions)
        case .parse, .bind, .describe, .execute, .close:
            extended(kind, message, on: &switchboard, now: now, into: &actions)
        case .sync:
            visitors[client]?.isSkipping = false
            visitors[client]?.portals = [:]
            let status = visitors[client]?.status ?? .idle
            actions.send(to: .client(client)) { $0.readyForQuery(status) }
        case .functionCall:
            let text = ByteString("unsupported packet type for admin console: \(message.kind)")
            fail(ConsoleError(.console(text)), client, .simple, on: &switchboard, into: &actions)
        case .flush, .copyData, .copyDone, .copyFail, .password, .terminate:
            break
        }
    }

    // MARK: Query

    private mutating func query(
        _ message: ConsoleMessage, on switchboard: inout Switchboard, now: Instant,
        into actions: inout ActionList
    ) {
        let client = message.client
        // Whatever was prepared without a name ends here (manual: "Extended Query").
        visitors[client]?.statements[""] = nil
        visitors[client]?.portals = [:]
        let text = message.body.withView { $0.cString(at: 0).map { (ByteString($0.bytes), $0.next) } }
        guard let (text, end) = text, end == message.body.count else {
            let text = text?.0 ?? message.body
            return fail(
                ConsoleError(.invalidCommand(text.printable)), client, .simple, on: &switchboard,
                into: &actions)
        }
        switch Command.read(text) {
        case .failure(let error):
            fail(error, client, .simple, on: &switchboard, into: &actions)
        case .success(let command):
            if !mayGive(command, client, switchboard) {
                return fail(
                    ConsoleError(.adminAccessNeeded), client, .simple, on: &switchboard, into: &actions)
            }
            run(command, client, on: &switchboard, now: now, into: &actions)
        }
    }

    private mutating func run(
        _ command: Command, _ client: ClientID, on switchboard: inout Switchboard, now: Instant,
        into actions: inout ActionList
    ) {
        switch command {
        case .show(let show):
            let moment = moment(now, switchboard)
            actions.send(to: .client(client)) {
                $0.rowDescription(show.headers, .text)
                show.write(switchboard, at: moment, .text, into: &$0)
                $0.commandComplete("SHOW")
                $0.readyForQuery(visitors[client]?.status ?? .idle)
            }
        case .showParameter, .select, .configDiff:
            switch rows(of: command, [], client, on: switchboard, now: now) {
            case .failure(let error):
                fail(error, client, .simple, on: &switchboard, into: &actions)
            case .success(let rows):
                actions.send(to: .client(client)) {
                    $0.rowDescription(command.headers ?? [], .text)
                    for row in rows { $0.dataRow(row, .text) }
                    $0.commandComplete(command.tag(rows.count))
                    $0.readyForQuery(visitors[client]?.status ?? .idle)
                }
            }
        case .ignoreParameter, .set, .order, .courtesy:
            let outcome = give(command, client, on: &switchboard, now: now, into: &actions)
            let timeout = command.timeout(from: now)
            finish(outcome, client, .simple, timeout: timeout, on: &switchboard, now: now, into: &actions)
        }
    }

    /// The rows of a command that has them, made in one go.
    func rows(
        of command: Command, _ parameters: [SQLValue], _ client: ClientID,
        on switchboard: borrowing Switchboard,
        now: Instant
    ) -> Result<[[Cell]], ConsoleError> {
        switch command {
        case .show(let show): return .success(show.cells(switchboard, at: moment(now, switchboard)))
        case .showParameter(let parameter): return .success([[.text(parameter.value)]])
        case .configDiff: return ConfigDiff.cells(switchboard.snapshot, preview)
        case .select(let select):
            var context = SelectContext()
            context.parameters = parameters
            context.user = switchboard.clients[client].user.map { switchboard.users[$0].name } ?? ""
            context.version = switchboard.process.version
            do throws(SelectError) {
                return .success(try select.run(switchboard, at: moment(now, switchboard), context))
            } catch {
                return .failure(error.error(in: ""))
            }
        case .ignoreParameter, .set, .order, .courtesy: return .success([])
        }
    }

    // MARK: Commands that do something

    func mayGive(_ command: Command, _ client: ClientID, _ switchboard: borrowing Switchboard) -> Bool {
        switch command.audience {
        case .everybody: true
        case .admins: switchboard.clients[client].consoleRights == .admin
        }
    }

    func moment(_ now: Instant, _ switchboard: borrowing Switchboard) -> Moment {
        var isKilled = false
        for database in memory.killed where switchboard.databases.contains(database) {
            if switchboard.databases[database].isPaused { isKilled = memory.killedAll }
        }
        var moment = Moment(now: now, clock: clock, isKilled: isKilled)
        for answer in answers { if case .rows(let rows) = answer { moment.elsewhere.append(rows) } }
        return moment
    }

    /// Does what a command without a table says.
    mutating func give(
        _ command: Command, _ client: ClientID, on switchboard: inout Switchboard, now: Instant,
        into actions: inout ActionList
    ) -> Outcome {
        switch command {
        case .show, .showParameter, .select, .configDiff:
            return .done("SHOW")
        case .courtesy(let courtesy):
            return .done(courtesy.run(for: &visitors[client, default: Visitor()]))
        case .ignoreParameter:
            return .noticed("SET ignored", detail: nil, tag: "SET")
        case .set(let key, let value):
            return SetCommand.run(
                key: key, value: value, secure, now: now, on: &switchboard, into: &actions)
        case .order(let order, let argument, let timeout):
            var call = Call(client: client, argument: argument, timeout: timeout, now: now, memory: memory)
            for answer in answers { if case .killed(true) = answer { call.isKilledElsewhere = true } }
            let outcome = order.run(&call, on: &switchboard, into: &actions)
            memory = call.memory
            return outcome
        }
    }

    /// Tells the client what its command came to.
    mutating func finish(
        _ outcome: Outcome, _ client: ClientID, _ manner: Visitor.Manner, timeout: Visitor.Timeout? = nil,
        on switchboard: inout Switchboard, now: Instant, into actions: inout ActionList
    ) {
        // KILL_CLIENT may have been meant for this very client.
        guard switchboard.isConsole(client) else { return }
        switch outcome {
        case .done(let tag):
            complete(tag, client, manner, into: &actions)
        case .noticed(let text, let detail, let tag):
            actions.send(to: .client(client)) {
                $0.report(.noticeResponse, severity: "NOTICE", state: "00000", text: text, detail: detail)
            }
            complete(tag, client, manner, into: &actions)
        case .waits(let wait):
            visitors[client, default: Visitor()].waiting = (wait, manner, timeout)
            if let timeout { nextDeadline = min(nextDeadline ?? timeout.at, timeout.at) }
            switchboard.consoleIsBusy(client, into: &actions)
        case .failed(let refusal):
            fail(ConsoleError(refusal), client, manner, on: &switchboard, into: &actions)
        case .handsOver:
            guard manner == .simple else {
                let refusal = Refusal.console("SHOW FDS is a simple query", state: "0A000")
                return fail(ConsoleError(refusal), client, manner, on: &switchboard, into: &actions)
            }
            switchboard.handOver(to: client, into: &actions)
        case .ends(let mode, let tag):
            if let tag { complete(tag, client, manner, into: &actions) }
            switchboard.shutDown(mode, now: now, into: &actions)
        }
    }

    private func complete(
        _ tag: ByteString, _ client: ClientID, _ manner: Visitor.Manner, into actions: inout ActionList
    ) {
        let status = visitors[client]?.status ?? .idle
        actions.send(to: .client(client)) {
            if tag.isEmpty { $0.message(.emptyQueryResponse) } else { $0.commandComplete(tag) }
            if manner == .simple { $0.readyForQuery(status) }
        }
    }

    /// An error, on the wire and in the log.
    mutating func fail(
        _ error: ConsoleError, _ client: ClientID, _ manner: Visitor.Manner,
        on switchboard: inout Switchboard,
        into actions: inout ActionList
    ) {
        let refusal = error.refusal
        switchboard.consoleLog(.error, client, refusal.text, into: &actions)
        if switchboard.snapshot.global.logPoolerErrors {
            let line = ByteString("pooler error: ").appending(refusal.text)
            switchboard.consoleLog(.warning, client, line, into: &actions)
        }
        let status = visitors[client]?.status ?? .idle
        actions.send(to: .client(client)) {
            refusal.write(into: &$0, position: error.position)
            if manner == .simple { $0.readyForQuery(status) }
        }
        if manner == .extended { visitors[client, default: Visitor()].isSkipping = true }
    }

    // MARK: Commands that waited

    private mutating func answer(
        _ news: ConsoleNews, on switchboard: inout Switchboard, now: Instant, into actions: inout ActionList
    ) {
        let client = news.client
        guard switchboard.isConsole(client), let (wait, manner, _) = visitors[client]?.waiting,
            wait == news.wait
        else { return }
        visitors[client]?.waiting = nil
        let outcome = outcome(of: news, on: &switchboard, now: now, into: &actions)
        resolve(outcome, client, manner, on: &switchboard, now: now, into: &actions)
    }

    /// A command that waited is answered, and then what its client has said meanwhile.
    private mutating func resolve(
        _ outcome: Outcome, _ client: ClientID, _ manner: Visitor.Manner, on switchboard: inout Switchboard,
        now: Instant, into actions: inout ActionList
    ) {
        finish(outcome, client, manner, on: &switchboard, now: now, into: &actions)
        goOn(client, on: &switchboard, now: now, into: &actions)
    }

    /// A command that kept others waiting is answered: they are next.
    mutating func goOn(
        _ client: ClientID, on switchboard: inout Switchboard, now: Instant, into actions: inout ActionList
    ) {
        let backlog = visitors[client]?.backlog ?? []
        visitors[client]?.backlog = []
        for message in backlog { take(message, on: &switchboard, now: now, into: &actions) }
        if switchboard.isConsole(client), visitors[client]?.waiting == nil,
            visitors[client]?.isGathering != true
        {
            switchboard.consoleIsReady(client, into: &actions)
        }
    }

    private mutating func outcome(
        of news: ConsoleNews, on switchboard: inout Switchboard, now: Instant, into actions: inout ActionList
    ) -> Outcome {
        switch (news.outcome, news.wait) {
        case (.done, .pause): return .done("PAUSE")
        case (.done, .close): return .done("WAIT_CLOSE")
        case (.done, .suspend): return .done("SUSPEND")
        case (.done, .reload): return .done("RELOAD")
        case (.done, .shutdown): return .done("SHUTDOWN")
        case (.failed, .reload):
            let line: ByteString = "RELOAD Failed, see logs for more details"
            switchboard.consoleLog(.error, news.client, line, into: &actions)
            return .failed(.reloadFailed)
        case (.cancelled, .pause(let database)):
            unpause(database, on: &switchboard, now: now, into: &actions)
            return .failed(.canceledCommand)
        case (.cancelled, .suspend):
            if switchboard.mode == .suspended { switchboard.resume(nil, now: now, into: &actions) }
            return .failed(.canceledCommand)
        case (.cancelled, .close), (.cancelled, .reload), (.cancelled, .shutdown):
            return .failed(.canceledCommand)
        case (.failed, .pause), (.failed, .suspend), (.failed, .close), (.failed, .shutdown):
            return .failed("command failed")
        }
    }

    /// `nextDeadline` has come: commands that have waited as long as they may say what is in their way.
    package mutating func deadlinePassed(
        _ switchboard: inout Switchboard, now: Instant, into actions: inout ActionList
    ) {
        guard let due = nextDeadline, due <= now else { return }
        for client in visitors.keys where !switchboard.isConsole(client) { visitors[client] = nil }
        // In the order of the log's numbers, so that a run can be repeated.
        for client in visitors.keys.sorted(by: { $0.handle.slot < $1.handle.slot }) {
            guard switchboard.isConsole(client), let (wait, manner, limit) = visitors[client]?.waiting,
                let timeout = limit,
                timeout.at <= now
            else { continue }
            visitors[client]?.waiting = nil
            let obstacles = switchboard.obstacles(to: wait, now: now)
            switchboard.stopWaiting(client)
            if case .pause(let database) = wait,
                !visitors.values.contains(where: { $0.waiting?.wait == wait })
            {
                unpause(database, on: &switchboard, now: now, into: &actions)
            }
            let refusal = Refusal.timedOut(wait, after: timeout.span, obstacles)
            resolve(.failed(refusal), client, manner, on: &switchboard, now: now, into: &actions)
        }
        nextDeadline = visitors.values.compactMap { $0.waiting?.timeout?.at }.min()
    }

    /// A PAUSE that is cancelled while it waits is lifted, unless the pooler is ending anyway.
    private mutating func unpause(
        _ database: DatabaseID?, on switchboard: inout Switchboard, now: Instant,
        into actions: inout ActionList
    ) {
        if let database {
            guard switchboard.databases.contains(database), switchboard.databases[database].isPaused else {
                return
            }
        } else if switchboard.shutdown != .none || switchboard.mode != .paused {
            return
        }
        switchboard.resume(database, now: now, into: &actions)
        switchboard.giveUp(.pause(database))
    }
}

extension ByteString {
    /// Up to the first zero byte: what can stand in a message's text.
    fileprivate var printable: ByteString { ByteString(Array(bytes.prefix { $0 != 0 })) }
}

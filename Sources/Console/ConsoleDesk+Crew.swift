import Engine
import Primitives
import Session
import Wire

/// A command that other workers have been asked about.
struct Gathering {
    let message: ConsoleMessage
    var missing: Int
    var answers: [ConsoleAnswer] = []
}

/// The console of several workers is the keeper's. A command that needs the others is kept until each of them
/// has answered, and then run as with one worker; until then its client is not read.
extension ConsoleDesk {
    /// What has to be asked before this message can be dealt with, if anything.
    func question(
        for message: ConsoleMessage, _ switchboard: borrowing Switchboard
    ) -> ConsoleQuestion? {
        guard let command = command(of: message), mayGive(command, message.client, switchboard) else {
            return nil
        }
        switch command {
        case .show(let show):
            return show.asksAll ? .rows(ByteString(show.words)) : nil
        case .select(let select):
            return select.table.flatMap { $0.asksAll ? .rows(ByteString($0.words)) : nil }
        case .order(let order, let argument, _):
            guard order is KillClient.Type, let number = KillClient.number(argument) else { return nil }
            return .kill(number)
        case .showParameter, .ignoreParameter, .set, .configDiff, .courtesy:
            return nil
        }
    }

    /// The command that this message runs.
    private func command(of message: ConsoleMessage) -> Command? {
        let visitor = visitors[message.client] ?? Visitor()
        if visitor.isSkipping { return nil }
        switch ClientMessageKind(rawValue: message.kind) {
        case .query:
            let text = message.body.withView { $0.cString(at: 0).map { ByteString($0.bytes) } }
            guard let text, case .success(let command) = Command.read(text) else { return nil }
            return command
        case .execute:
            var request = Request(client: message.client, body: message.body)
            guard let name = request.name(), let portal = visitor.portals[name] else { return nil }
            guard case .fresh = portal.progress else { return nil }
            return portal.command
        default:
            return nil
        }
    }

    mutating func gather(
        _ question: ConsoleQuestion, for message: ConsoleMessage, on switchboard: inout Switchboard,
        into actions: inout ActionList
    ) {
        lastQuestion &+= 1
        let mates = switchboard.crew.mates
        gatherings[lastQuestion] = Gathering(message: message, missing: mates.count)
        visitors[message.client, default: Visitor()].isGathering = true
        switchboard.consoleIsBusy(message.client, into: &actions)
        for mate in mates {
            switchboard.consolePosts(.question(lastQuestion, question), to: mate, into: &actions)
        }
    }

    /// A question of the keeper's console, or an answer for it.
    mutating func take(
        _ message: LetterMessage, on switchboard: inout Switchboard, now: Instant,
        into actions: inout ActionList
    ) {
        switch message {
        case .question(let number, let question, let sender):
            let answer = answer(question, on: &switchboard, now: now, into: &actions)
            switchboard.consolePosts(.answer(number, answer), to: sender, into: &actions)
        case .answer(let number, let answer, _):
            guard var gathering = gatherings[number] else { return }
            gathering.answers.append(answer)
            gathering.missing -= 1
            gatherings[number] = gathering.missing > 0 ? gathering : nil
            if gathering.missing == 0 { run(gathering, on: &switchboard, now: now, into: &actions) }
        }
    }

    private func answer(
        _ question: ConsoleQuestion, on switchboard: inout Switchboard, now: Instant,
        into actions: inout ActionList
    ) -> ConsoleAnswer {
        switch question {
        case .rows(let words):
            let moment = moment(now, switchboard)
            for show in CommandTable.shows where ByteString(show.words) == words {
                return .rows(show.share(switchboard, at: moment))
            }
            return .rows([Int]())
        case .kill(let number):
            guard let client = KillClient.find(number, in: switchboard) else { return .killed(false) }
            switchboard.kill(client, now: now, into: &actions)
            return .killed(true)
        }
    }

    /// Everybody has answered.
    private mutating func run(
        _ gathering: Gathering, on switchboard: inout Switchboard, now: Instant,
        into actions: inout ActionList
    ) {
        let client = gathering.message.client
        guard switchboard.isConsole(client) else { return }
        visitors[client]?.isGathering = false
        answers = gathering.answers
        handle(gathering.message, on: &switchboard, now: now, into: &actions)
        answers = []
        goOn(client, on: &switchboard, now: now, into: &actions)
    }
}

import Engine
import Primitives

/// A letter on its way, with the socket that goes along.
struct Envelope {
    let letter: Letter
    let cable: Cable?
}

/// What is between two switchboards: letters arrive in the order they were posted in, after any delay.
struct MailRoute {
    var envelopes: [Envelope] = []
    var lastArrival: UInt64 = 0
}

/// The letters between the switchboards, as the drivers' mailboxes carry them.
extension World {
    func route(_ from: Board, _ to: WorkerID) -> Int { Int(from.worker.index) * boards.count + Int(to.index) }

    func post(_ letter: Letter, with cable: Cable?, from board: Board, to worker: WorkerID) {
        let place = route(board, worker)
        guard worker != board.worker, worker == .keeper || board.worker == .keeper else {
            return found("O7 a letter from worker \(board.worker.index) to worker \(worker.index)")
        }
        if case .order = letter { disturbedAt = clock }
        if case .mayStay(let client, _, _?) = letter {
            // Who has gone since it asked is not among those who are there.
            let asker = boards[Int(worker.index)].cable(.client(client))
            checkRoom(isAskerThere: asker?.isOpen == true)
        }
        note("post", UInt64(place), cable == nil ? 0 : 1)
        say("  \(board.worker.index) posts to \(worker.index): \(letter.shown)")
        var delay = UInt64(1 + random.below(knobs.letterLatency))
        if !isCalm, knobs.letterStalls > 0, random.below(1000) < knobs.letterStalls {
            delay += UInt64(random.below(200_000))
        }
        let at = max(clock + delay, mail[place].lastArrival)
        mail[place].lastArrival = at
        mail[place].envelopes.append(Envelope(letter: letter, cable: cable))
        heap.add(.letter(place), at: at)
    }

    /// The link leaves with a letter; what was read and not used does not go with it.
    func part(_ link: LinkID, _ letter: Letter, from board: Board, to worker: WorkerID) {
        guard let cable = board.cable(link) else {
            return found("O7 a link that is gone leaves with a letter: \(link.shown)")
        }
        note("part", link.packed, UInt64(worker.index))
        say("  \(link.shown) leaves")
        if !link.isClient, cable !== beingRead, cable.kept > 0 {
            found("O3 \(link.shown) was sent away with unread bytes")
        }
        if cable.outgoing.count > window { found("O3 \(link.shown) was sent away with bytes owed to it") }
        board.remove(cable)
        cable.isTravelling = true
        cable.isPaused = false
        cable.isCongested = false
        if cable !== beingRead { cable.arrived.removeFirst(cable.kept) }
        cable.kept = 0
        if case .server(let server) = cable.far { checkSentAway(server, cable) }
        post(letter, with: cable, from: board, to: worker)
    }

    /// The socket that came with the letter being dealt with is this link's.
    func adopt(_ link: LinkID, on board: Board) {
        guard let cable = arrival else { return found("O7 \(link.shown) adopts a socket that never came") }
        arrival = nil
        note("adopt", link.packed, UInt64(board.worker.index))
        say("  \(link.shown) of worker \(board.worker.index) adopts")
        cable.link = link
        cable.board = board
        cable.isTravelling = false
        cable.adoptedAt = clock
        board.install(cable)
    }

    func letterArrives(_ place: Int) {
        let envelope = mail[place].envelopes.removeFirst()
        let sender = WorkerID(index: UInt8(place / boards.count))
        let board = boards[place % boards.count]
        note("letter", UInt64(place), 0)
        say("letter from \(sender.index) to \(board.worker.index): \(envelope.letter.shown)")
        movedAt = clock
        if case .order = envelope.letter { disturbedAt = clock }
        arrival = envelope.cable
        verdict.events += 1
        actions.removeAll()
        board.engine.letterArrived(envelope.letter, from: sender, now: now, into: &actions)
        carryOut(on: board)
        if let cable = arrival {
            arrival = nil
            discard(cable)
        } else if let cable = envelope.cable {
            if case .client(let parcel) = envelope.letter, !parcel.bytes.isEmpty {
                var bytes = ByteQueue()
                bytes.append(parcel.bytes.bytes)
                bytes.append(cable.arrived.slice(0, cable.arrived.count))
                cable.arrived = bytes
            }
            if cable.isOpen, !cable.isTravelling, !cable.isOffering {
                cable.isOffering = true
                followUps.append(.offer(cable))
            }
        }
        finishEvent(on: board)
    }

    /// A socket that nobody wants.
    private func discard(_ cable: Cable) {
        say("  nobody wants \(cable.link.shown)")
        cable.isTravelling = false
        cable.isOpen = false
        noteGone(cable)
        cable.isClosing = true
        cable.wasDropped = true
        cable.outgoing.removeAll()
        noteClosed(cable)
        if !cable.peerReadIsDue { arrangePeerRead(cable) }
    }
}

extension Letter {
    /// Posted as long as the process lives, whatever happens: at any instant one may be on its way.
    var comesByTheClock: Bool {
        if case .period = self { return true }
        return false
    }

    /// One word or two for the trace.
    var shown: String {
        switch self {
        case .client: "client"
        case .server(let parcel): "server \(parcel.number)"
        case .knock(let client, _): "knock \(client.handle.slot)"
        case .enter(let client, _, _): "enter \(client.handle.slot)"
        case .loginFailed: "loginFailed"
        case .left(let departure): "left \(departure.isConnection) \(departure.isGuest)"
        case .lines(let lines): "lines \(lines.shown)"
        case .spareGiven: "spareGiven"
        case .closed(_, let wasRetiring): "closed \(wasRetiring)"
        case .period: "period"
        case .applied(let era): "applied \(era)"
        case .flushed(let number): "flushed \(number)"
        case .mayStay(let client, _, let refusal): "mayStay \(client.handle.slot) \(refusal == nil)"
        case .mayEnter(let client, _, let refusal, _): "mayEnter \(client.handle.slot) \(refusal == nil)"
        case .news: "news"
        case .refuseLine: "refuseLine"
        case .spare(_, let count): "spare \(count)"
        case .rivals(let lines): "rivals \(lines.shown)"
        case .shed(_, let count): "shed \(count)"
        case .makeRoom: "makeRoom"
        case .order(let order): "order \(order.shown)"
        case .question(let number, _): "question \(number)"
        case .answer(let number, _): "answer \(number)"
        }
    }
}

extension Order {
    fileprivate var shown: String {
        switch self {
        case .put: "put"
        case .pause: "pause"
        case .suspend: "suspend"
        case .resume: "resume"
        case .kill: "kill"
        case .reconnect: "reconnect"
        case .disable: "disable"
        case .moved: "moved"
        case .shutDown: "shutDown"
        }
    }
}

extension [Line] {
    fileprivate var shown: String {
        map { line in
            let pool = "\(line.pool.database.lossyText)/\(line.pool.user.lossyText)"
            return "\(pool) \(line.count) since \(line.since.nanoseconds / 1000)"
        }.joined(separator: ", ")
    }
}

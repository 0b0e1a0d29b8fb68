import CLinux
import Engine
import EventLoop
import Primitives
import TLS

/// What one thread puts into another's mailbox.
enum Mail: Sendable {
    /// What comes with it is the receiver's from here on.
    case letter(Letter, from: WorkerID, Baggage)
    /// A reload has changed these.
    case settings(ProcessSettings, Security.Contexts)
    /// The process ends.
    case stop
}

/// The mailboxes of all workers, and which of them is ours.
struct PostOffice: Sendable {
    let me: WorkerID
    let mailboxes: [Mailbox<Mail>]
    var mine: Mailbox<Mail> { mailboxes[Int(me.index)] }
}

/// What of a connection goes with a letter.
struct Baggage: Sendable {
    static let none = Baggage(descriptor: -1)
    /// -1 for none.
    var descriptor: Int32
    /// When its bytes are encrypted.
    var stream: TLSStream?
}

/// Baggage on its way from a letter to the link it belongs to.
struct Arrival {
    var baggage = Baggage.none
    var link: LinkID?
}

extension Worker where Engine: ~Copyable {
    // MARK: Sending

    /// Notes a letter; it leaves when the list that brought it has been carried out.
    mutating func put(_ letter: Letter, _ baggage: Baggage = .none, to worker: WorkerID) {
        guard let office else { return }
        outbox[Int(worker.index)].append(.letter(letter, from: office.me, baggage))
        guard !hasMail else { return }
        hasMail = true
        followUps.append(FollowUp(kind: .mail, link: 0))
    }

    /// Puts everything into the mailboxes; what one does not take is tried again.
    mutating func sendMail() {
        guard let office else { return }
        hasMail = false
        for place in outbox.indices where !outbox[place].isEmpty {
            let taken = office.mailboxes[place].put(outbox[place])
            outbox[place].removeFirst(taken)
            if !outbox[place].isEmpty { hasMail = true }
        }
        if hasMail { followUps.append(FollowUp(kind: .mail, link: 0)) }
    }

    /// A link leaves with a letter: its socket and its stream, and nothing else, because nothing is owed or
    /// kept.
    mutating func part(_ link: LinkID, _ letter: Letter, to worker: WorkerID) {
        guard let place = connection(link) else { return put(letter, to: worker) }
        let descriptor = place.pointee.descriptor
        let stream = place.pointee.stream
        place.pointee.stream = nil
        let flags = place.pointee.flags
        let owed = place.pointee.owed
        vacate(link, place)
        place.pointee.descriptor = -1
        place.pointee.owed = nil
        if !flags.meets(.forgotten) { poller.remove(descriptor) }
        guard owed != nil || flags.meets(.broken) else {
            return put(letter, Baggage(descriptor: descriptor, stream: stream), to: worker)
        }
        // It is broken, or does not take what it was sent: the other worker finds it closed.
        if let owed { blocks.give(owed) }
        stream?.free()
        _ = linux_close(descriptor)
        put(letter, to: worker)
    }

    mutating func tellMates(_ settings: ProcessSettings) {
        guard let office, office.me == .keeper else { return }
        // In one piece with the letter that changes the modes: a context and its mode arrive together.
        let contexts = self.settings.security.current
        for place in outbox.indices.dropFirst() { outbox[place].append(.settings(settings, contexts)) }
        guard !hasMail else { return }
        hasMail = true
        followUps.append(FollowUp(kind: .mail, link: 0))
    }

    // MARK: Receiving

    mutating func takeMail() {
        guard let office else { return }
        for mail in office.mine.take() {
            switch mail {
            case .letter(let letter, let sender, let baggage): read(letter, from: sender, baggage)
            case .settings(let fresh, let contexts):
                settings.security.current = contexts
                adopt(fresh)
            case .stop: isExiting = true
            }
            if isExiting { return }
        }
    }

    private mutating func read(_ letter: Letter, from sender: WorkerID, _ baggage: Baggage) {
        arrival = Arrival(baggage: baggage)
        actions.removeAll()
        engine.letterArrived(letter, from: sender, now: now, into: &actions)
        carryOut()
        let link = arrival.link
        if arrival.baggage.descriptor >= 0 { _ = linux_close(arrival.baggage.descriptor) }
        arrival.baggage.stream?.free()
        arrival = Arrival()
        if case .client(let parcel) = letter, let link, let place = connection(link) {
            offerLater(parcel.bytes, link, place)
        }
        settle()
    }

    /// The socket that came with the letter is this link's.
    mutating func adopt(_ link: LinkID) {
        let place: UnsafeMutablePointer<Connection>
        switch link {
        case .client(let id): place = clients.settle(id.handle)
        case .server(let id): place = servers.settle(id.handle)
        }
        let descriptor = arrival.baggage.descriptor
        place.pointee.descriptor = descriptor
        if let stream = arrival.baggage.stream {
            if exchange == nil { exchange = TLSExchange() }
            place.pointee.stream = stream
            place.pointee.flags.insert(.secured)
        }
        arrival = Arrival(link: link)
        let watched =
            descriptor < 0
            ? -Int(linux_reset) : watch(link, place)
        guard watched != 0 else { return }
        followUps.append(
            FollowUp(kind: .ended, error: Int32(truncatingIfNeeded: -watched), link: link.packed))
    }
}

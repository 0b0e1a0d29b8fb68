import Engine
import Primitives

/// The virtual network: bytes arrive in pieces, late, or not at all.
extension World {
    // MARK: Towards the engine

    /// A peer writes.
    func write(_ bytes: Bytes, on cable: Cable, inOnePiece: Bool = false) {
        guard !bytes.isEmpty, !cable.farIsGone, cable.isOpen else { return }
        cable.inFlight.append(bytes)
        var left = bytes.count
        while left > 0 {
            let most = knobs.buffer > 0 ? min(left, knobs.buffer) : left
            let count = inOnePiece ? left : piece(of: most, cable)
            left -= count
            let at = max(clock + latency(cable), cable.lastArrival)
            cable.lastArrival = at
            heap.add(.arrive(cable, count), at: at)
        }
    }

    private func piece(of count: Int, _ cable: Cable) -> Int {
        let splits = isCalm ? 0 : knobs.splits
        if splits == 0 || count == 1 { return count }
        if splits >= 100 { return 1 + cable.random.below(min(count, 3)) }
        return cable.random.below(100) < splits ? 1 + cable.random.below(count) : count
    }

    func latency(_ cable: Cable) -> UInt64 {
        let usual = 20 + cable.random.below(knobs.latency)
        if !isCalm, knobs.stalls > 0, cable.random.below(1000) < knobs.stalls {
            return UInt64(usual + cable.random.below(500_000))
        }
        return UInt64(usual)
    }

    func arrive(_ cable: Cable, _ count: Int) {
        let bytes = cable.inFlight.take(count)
        guard cable.isOpen, !bytes.isEmpty else { return }
        note("arrive", cable.link.packed, UInt64(bytes.count))
        cable.arrived.append(bytes)
        movedAt = clock
        if cable.isPaused || cable.isTravelling { return }
        offer(cable)
    }

    /// Offers the engine what has arrived.
    func offer(_ cable: Cable) {
        guard cable.isOpen, !cable.isPaused, !cable.isTravelling else { return }
        let board = cable.board
        if !cable.arrived.isEmpty {
            note("offer", cable.link.packed, UInt64(cable.arrived.count))
            say(
                "offer \(cable.link.shown) "
                    + Array(cable.arrived.slice(0, min(200, cable.arrived.count))).shown
            )
            verdict.events += 1
            actions.removeAll()
            beingRead = cable
            cable.wasOffered = true
            wasHandedOver = false
            let used = cable.arrived.withView { view in
                let used = board.engine.received(view, from: cable.link, now: now, into: &actions)
                carryOut(on: board, from: view, source: cable)
                return used
            }
            if used < 0 || used > cable.arrived.count {
                return found("O8 the engine used \(used) bytes of less")
            }
            beingRead = nil
            noteGrant(cable)
            if cable.isTravelling {
                if used < cable.arrived.count, !cable.link.isClient {
                    found("O3 \(cable.link.shown) was sent away with unread bytes")
                }
                cable.arrived.removeAll()
                return finishEvent(on: board)
            }
            cable.arrived.removeFirst(used)
            cable.kept = cable.arrived.count
            if wasHandedOver, cable.isOpen, !cable.arrived.isEmpty {
                found("O3 a server was lent on with unread bytes")
            }
            if case .asker(let asker) = cable.far, cable.isOpen, cable.arrived.isEmpty {
                asker.server = servers.last { serves($0, asker.target) }
            }
            checkKept(cable)
            finishEvent(on: board)
        }
        if cable.isOpen, !cable.isPaused, !cable.isTravelling, let how = cable.end { end(cable, how) }
    }

    /// The peer writes no more, and reads on.
    func halfClose(_ cable: Cable) {
        guard !cable.farIsGone else { return }
        heap.add(.arriveEnd(cable, isReset: false), at: max(clock + latency(cable), cable.lastArrival))
    }

    /// The peer writes no more: behind its bytes, or at once and over them.
    func endFar(_ cable: Cable, isReset: Bool) {
        guard !cable.farIsGone else { return }
        cable.farIsGone = true
        cable.outgoing.removeAll()
        let at = max(clock + latency(cable), isReset ? 0 : cable.lastArrival)
        heap.add(.arriveEnd(cable, isReset: isReset), at: at)
    }

    func arriveEnd(_ cable: Cable, isReset: Bool) {
        guard cable.isOpen else { return }
        note("arriveEnd", cable.link.packed, isReset ? 1 : 0)
        say("end of \(cable.link.shown) arrives\(isReset ? ", a reset" : "")")
        if isReset {
            // What the engine has not read is lost.
            cable.inFlight.removeAll()
            if !cable.isPaused || cable.link.isClient {
                cable.arrived.removeAll()
                cable.kept = 0
            }
        }
        cable.end = isReset ? .failed(104) : .endOfFile
        if cable.isTravelling || cable.isPaused && !cable.link.isClient { return }
        if let how = cable.end { end(cable, how) }
    }

    func end(_ cable: Cable, _ how: LinkEnd) {
        guard cable.isOpen, !cable.isTravelling else { return }
        note("ended", cable.link.packed, 0)
        say("ended \(cable.link.shown)")
        retire(cable)
        noteEnded(cable)
        tell(cable.board) { engine, now, actions in engine.ended(cable.link, how, now: now, into: &actions) }
        if !cable.farIsGone {
            cable.isClosing = true
            if !cable.peerReadIsDue { arrangePeerRead(cable) }
        }
    }

    // MARK: From the engine

    func arrangePeerRead(_ cable: Cable) {
        cable.peerReadIsDue = true
        heap.add(.peerRead(cable), at: clock + latency(cable))
    }

    func peerReads(_ cable: Cable) {
        cable.peerReadIsDue = false
        if cable.farIsGone { return cable.outgoing.removeAll() }
        if case .client(let client) = cable.far, client.deafUntil > clock, !cable.wasDropped, !isCalm {
            cable.peerReadIsDue = true
            return heap.add(.peerRead(cable), at: client.deafUntil)
        }
        let slow = isCalm ? 0 : knobs.shortReads
        let limit = slow > 0 ? 1 + cable.random.below(slow) : Int.max
        let bytes = cable.outgoing.take(limit)
        if !bytes.isEmpty {
            note("peerRead", cable.link.packed, UInt64(bytes.count))
            deliver(bytes, cable)
        }
        if !cable.outgoing.isEmpty {
            if !cable.peerReadIsDue { arrangePeerRead(cable) }
        } else if cable.isClosing, !cable.farHasHeardOfEnd {
            cable.farHasHeardOfEnd = true
            peerSeesEnd(cable)
        }
        if cable.isOpen, !cable.isTravelling, cable.isCongested, cable.outgoing.count <= window {
            cable.isCongested = false
            note("drained", cable.link.packed, 0)
            tell(cable.board) { engine, now, actions in engine.drained(cable.link, now: now, into: &actions) }
        }
    }

    private func deliver(_ bytes: Bytes, _ cable: Cable) {
        switch cable.far {
        case .client(let client): clientReads(client, bytes)
        case .server(let server): serverReads(server, bytes)
        case .asker: break
        }
    }

    private func peerSeesEnd(_ cable: Cable) {
        cable.farIsGone = true
        switch cable.far {
        case .client(let client): clientSeesEnd(client)
        case .server(let server): serverSeesEnd(server)
        case .asker(let asker): asker.wasEnded = true
        }
    }
}

extension LinkID {
    var isClient: Bool {
        if case .client = self { return true }
        return false
    }
}

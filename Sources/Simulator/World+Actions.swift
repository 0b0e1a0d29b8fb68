import Console
import Engine
import Primitives

/// Carries out what the engine wants: the same exhaustive switch as the driver's.
extension World {
    /// A list that speaks of no bytes but its own.
    func carryOut(on board: Board) {
        carryOut(on: board, from: ByteView(base: UnsafeRawPointer(bitPattern: 1)!, count: 0), source: nil)
    }

    /// `view`: the bytes that relays speak of; `source`: the cable they came from.
    func carryOut(on board: Board, from view: ByteView, source: Cable?) {
        var index = 0
        while index < actions.count {
            let action = actions[index]
            index += 1
            switch action {
            case .relay(let range, let link):
                put(view.slice(Int(range.offset), Int(range.count)), on: link, of: board, from: source)
            case .send(let range, let link):
                put(actions.scratch.view(range), on: link, of: board, from: nil)
            case .open(let server, let host, let port): open(server, actions.endpoint(host, port), on: board)
            case .pauseReading(let link):
                note("pause", link.packed, 0)
                say("  pause \(link.shown)")
                guard let cable = board.cable(link) else {
                    found("O7 a link that is gone is paused: \(link.shown)")
                    break
                }
                cable.isPaused = true
                noteLine(cable)
            case .resumeReading(let link):
                note("resume", link.packed, 0)
                say("  resume \(link.shown)")
                guard let cable = board.cable(link) else { break }
                resume(cable)
                noteGrant(cable)
            case .close(let link): close(link, of: board, dropping: false)
            case .drop(let link): close(link, of: board, dropping: true)
            case .log(let level, let range): checkLog(level, actions.scratch.view(range))
            // No scenario has TLS: whoever asks for it is told no.
            case .startTLS(let link, _, _): preconditionFailure("TLS for \(link) in a world without it")
            case .stopListening: break
            case .reload(let client): followUps.append(.reload(client))
            case .handOver(let client, _, _): answerWithoutRows(client, on: board)
            case .exit:
                hasExited = true
                checkExit(of: board)
            case .post(let letter, let worker): post(actions[letter], with: nil, from: board, to: worker)
            case .part(let link, let letter, let worker):
                part(link, actions[letter], from: board, to: worker)
            case .adopt(let link): adopt(link, on: board)
            }
        }
    }

    /// There are no sockets here that could be told of.
    private func answerWithoutRows(_ client: ClientID, on board: Board) {
        var buffer = ByteBuffer(capacity: 64)
        FDRow.writeHeader(withState: false, into: &buffer)
        FDRow.writeEnd(into: &buffer)
        put(buffer.view, on: .client(client), of: board, from: nil)
    }

    private func put(_ view: ByteView, on link: LinkID, of board: Board, from source: Cable?) {
        note("put", link.packed, UInt64(view.count))
        mix(view)
        guard let cable = board.cable(link) else {
            return found("O7 bytes for a link that is gone: \(link.shown)")
        }
        say(
            "  \(source == nil ? "send" : "relay") \(view.count) to \(link.shown) "
                + Array(view.rawBuffer).shown
        )
        if case .server(let server) = cable.far {
            checkPut(view, on: server, cable, from: source)
        } else if source == nil, view[0] == 0x45, knobs.clientsLimit > 0, board === keeper {
            checkTurnedAway(view)
        }
        if let wrong = cable.framing.pass(view, isOurs: source == nil) {
            found("O1 \(wrong) on \(link.shown)")
        }
        if cable.farIsGone { return }
        cable.outgoing.append(view)
        touched.append(cable)
        if !cable.peerReadIsDue { arrangePeerRead(cable) }
    }

    private func resume(_ cable: Cable) {
        guard cable.isPaused else { return }
        cable.isPaused = false
        guard !cable.isOffering else { return }
        cable.isOffering = true
        followUps.append(.offer(cable))
    }

    private func close(_ link: LinkID, of board: Board, dropping: Bool) {
        note("close", link.packed, dropping ? 1 : 0)
        say("  \(dropping ? "drop" : "close") \(link.shown)")
        guard let cable = board.cable(link) else {
            if dropping { return closeUnopened(link, of: board) }
            return found("O7 a dead link is closed: \(link.shown)")
        }
        retire(cable)
        cable.isClosing = true
        cable.wasDropped = dropping
        if dropping { cable.outgoing.removeAll() }
        noteClosed(cable)
        if !cable.peerReadIsDue { arrangePeerRead(cable) }
    }

    /// The engine's handle is dead.
    func retire(_ cable: Cable) {
        cable.isOpen = false
        cable.board.remove(cable)
        noteGone(cable)
    }

    /// After each list: what was noted during it, then the oracles.
    func finishEvent(on board: Board) {
        if board.engine.hasConsoleWork {
            actions.removeAll()
            board.desk.serve(&board.engine, now: now, into: &actions)
            carryOut(on: board)
        }
        for cable in touched {
            if cable.isOpen, !cable.isTravelling, !cable.isCongested, cable.outgoing.count > window {
                cable.isCongested = true
                followUps.append(.congested(cable))
            }
        }
        touched.removeAll(keepingCapacity: true)
        hasOpened = false
        checkAfterEvent(on: board)
        var rounds = 0
        while !followUps.isEmpty, verdict.finding == nil {
            rounds += 1
            if rounds > 10_000 { return found("O9 the engine spins: one event has no end") }
            let next = followUps.removeFirst()
            switch next {
            case .congested(let cable):
                guard cable.isOpen, !cable.isTravelling else { continue }
                note("congested", cable.link.packed, 0)
                tellQuietly(cable.board) { engine, _, actions in engine.congested(cable.link, into: &actions)
                }
            case .offer(let cable):
                cable.isOffering = false
                offer(cable)
            case .broken(let cable):
                end(cable, .failed(32))
            case .reload(let client):
                let new = newSnapshot()
                let fails = random.below(4) == 0
                tellQuietly(board) { engine, now, actions in
                    if fails { return engine.reloadFailed(for: client, now: now, into: &actions) }
                    engine.reloaded(new, for: client, now: now, into: &actions)
                }
            }
        }
    }

    /// As `tell`, from within `finishEvent`.
    private func tellQuietly(
        _ board: Board, _ fact: (inout Switchboard, Instant, inout ActionList) -> Void
    ) {
        verdict.events += 1
        actions.removeAll()
        fact(&board.engine, now, &actions)
        carryOut(on: board)
        finishEvent(on: board)
    }

    var window: Int { knobs.window }
}

extension LinkID {
    var shown: String {
        switch self {
        case .client(let id): "C\(id.handle.slot).\(id.handle.generation)"
        case .server(let id): "S\(id.handle.slot).\(id.handle.generation)"
        }
    }
}

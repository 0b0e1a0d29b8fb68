import Console
import Engine
import Primitives

/// Carries out what the engine wants: the same exhaustive switch as the driver's.
extension World {
    /// `view`: the bytes that relays speak of; `source`: the cable they came from.
    func carryOut(from view: ByteView, source: Cable?) {
        var index = 0
        while index < actions.count {
            let action = actions[index]
            index += 1
            switch action {
            case .relay(let range, let link):
                put(view.slice(Int(range.offset), Int(range.count)), on: link, from: source)
            case .send(let range, let link):
                put(actions.scratch.view(range), on: link, from: nil)
            case .open(let server, let host, let port): open(server, actions.endpoint(host, port))
            case .pauseReading(let link):
                note("pause", link.packed, 0)
                say("  pause \(link.shown)")
                cable(link)?.isPaused = true
                noteLine(link)
            case .resumeReading(let link):
                note("resume", link.packed, 0)
                say("  resume \(link.shown)")
                resume(link)
                noteGrant(link)
            case .close(let link): close(link, dropping: false)
            case .drop(let link): close(link, dropping: true)
            case .log(let level, let range): checkLog(level, actions.scratch.view(range))
            // No scenario has TLS: whoever asks for it is told no.
            case .startTLS(let link, _, _): preconditionFailure("TLS for \(link) in a world without it")
            case .stopListening: break
            case .reload(let client): followUps.append(.reload(client))
            case .handOver(let client, _, _): answerWithoutRows(client)
            case .exit: hasExited = true
            case .post, .part, .adopt: break  // there is one worker
            }
        }
    }

    /// There are no sockets here that could be told of.
    private func answerWithoutRows(_ client: ClientID) {
        var buffer = ByteBuffer(capacity: 64)
        FDRow.writeHeader(withState: false, into: &buffer)
        FDRow.writeEnd(into: &buffer)
        put(buffer.view, on: .client(client), from: nil)
    }

    func cable(_ link: LinkID) -> Cable? {
        let slot = Int(link.handle.slot)
        let cable: Cable?
        switch link {
        case .client: cable = slot < clientCables.count ? clientCables[slot] : nil
        case .server: cable = slot < serverCables.count ? serverCables[slot] : nil
        }
        return cable?.link == link ? cable : nil
    }

    func install(_ cable: Cable) {
        let slot = Int(cable.link.handle.slot)
        switch cable.link {
        case .client:
            while clientCables.count <= slot { clientCables.append(nil) }
            clientCables[slot] = cable
            clientLinks += 1
        case .server:
            while serverCables.count <= slot { serverCables.append(nil) }
            serverCables[slot] = cable
            serverLinks += 1
        }
    }

    private func put(_ view: ByteView, on link: LinkID, from source: Cable?) {
        note("put", link.packed, UInt64(view.count))
        mix(view)
        guard let cable = cable(link) else { return found("O7 bytes for a link that is gone: \(link.shown)") }
        say(
            "  \(source == nil ? "send" : "relay") \(view.count) to \(link.shown) "
                + Array(view.rawBuffer).shown
        )
        if case .server(let server) = cable.far {
            checkPut(view, on: server, cable, from: source)
        } else if source == nil, view[0] == 0x45, knobs.clientsLimit > 0 {
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

    private func resume(_ link: LinkID) {
        guard let cable = cable(link), cable.isPaused else { return }
        cable.isPaused = false
        guard !cable.isOffering else { return }
        cable.isOffering = true
        followUps.append(.offer(cable))
    }

    private func close(_ link: LinkID, dropping: Bool) {
        note("close", link.packed, dropping ? 1 : 0)
        say("  \(dropping ? "drop" : "close") \(link.shown)")
        guard let cable = cable(link) else {
            if dropping { return closeUnopened(link) }
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
        let slot = Int(cable.link.handle.slot)
        switch cable.link {
        case .client:
            clientCables[slot] = nil
            clientLinks -= 1
        case .server:
            serverCables[slot] = nil
            serverLinks -= 1
        }
    }

    /// After each list: what was noted during it, then the oracles.
    func finishEvent() {
        if engine.hasConsoleWork {
            actions.removeAll()
            desk.serve(&engine, now: now, into: &actions)
            carryOut(from: ByteView(base: UnsafeRawPointer(bitPattern: 1)!, count: 0), source: nil)
        }
        for cable in touched {
            if cable.isOpen, !cable.isCongested, cable.outgoing.count > window {
                cable.isCongested = true
                followUps.append(.congested(cable))
            }
        }
        touched.removeAll(keepingCapacity: true)
        hasOpened = false
        checkAfterEvent()
        var rounds = 0
        while !followUps.isEmpty, verdict.finding == nil {
            rounds += 1
            if rounds > 10_000 { return found("O9 the engine spins: one event has no end") }
            let next = followUps.removeFirst()
            switch next {
            case .congested(let cable):
                guard cable.isOpen else { continue }
                note("congested", cable.link.packed, 0)
                tellQuietly { engine, _, actions in engine.congested(cable.link, into: &actions) }
            case .offer(let cable):
                cable.isOffering = false
                offer(cable)
            case .broken(let cable):
                end(cable, .failed(32))
            case .reload(let client):
                let new = newSnapshot()
                let fails = random.below(4) == 0
                tellQuietly { engine, now, actions in
                    if fails { return engine.reloadFailed(for: client, now: now, into: &actions) }
                    engine.reloaded(new, for: client, now: now, into: &actions)
                }
            }
        }
    }

    /// As `tell`, from within `finishEvent`.
    private func tellQuietly(_ fact: (inout Switchboard, Instant, inout ActionList) -> Void) {
        verdict.events += 1
        actions.removeAll()
        fact(&engine, now, &actions)
        carryOut(from: ByteView(base: UnsafeRawPointer(bitPattern: 1)!, count: 0), source: nil)
        finishEvent()
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

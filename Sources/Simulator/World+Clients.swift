import Engine
import Primitives

/// What the scripted clients do.
extension World {
    func connect(_ client: SimulatedClient) {
        if client.isAdmin, isCalm {
            client.phase = .ended
            return
        }
        guard let cable = accept(.client(client), seed: UInt64(client.number)) else { return }
        say("client \(client.number) is \(cable.link.shown)")
        client.cable = cable
        client.connectedAt = clock
        client.phase = .loggingIn
        write(client.firstBytes, on: cable)
    }

    private func accept(_ far: Cable.Far, seed: UInt64) -> Cable? {
        verdict.events += 1
        actions.removeAll()
        let peer = SocketAddress(
            family: .ipv4, high: 0x7F00_0001 << 32, port: UInt16(truncatingIfNeeded: 40_000 &+ seed))
        let local = SocketAddress(family: .ipv4, high: 0x7F00_0001 << 32, port: 6432)
        note("accept", seed, 0)
        let mixed = scenario.seed ^ (seed &+ 77) &* 0xD134_2543_DE82_EF95
        if let worker = keeper.engine.workerForNewClient(from: peer) {
            // No link yet: the other worker's engine names it.
            let link = LinkID.client(ClientID(Handle(slot: 0, generation: 0)))
            let cable = Cable(link: link, on: keeper, far: far, random: Random(seed: mixed))
            cable.isTravelling = true
            post(.client(ClientParcel(peer: peer, local: local)), with: cable, from: keeper, to: worker)
            return cable
        }
        guard let id = keeper.engine.accepted(peer: peer, local: local, now: now, into: &actions) else {
            return nil
        }
        let cable = Cable(link: .client(id), on: keeper, far: far, random: Random(seed: mixed))
        keeper.install(cable)
        carryOut(on: keeper)
        finishEvent(on: keeper)
        return cable
    }

    func clientReads(_ client: SimulatedClient, _ bytes: Bytes) {
        guard client.phase != .ended else { return }
        client.inbox.append(bytes)
        if client.phase == .loggingIn, client.login == .asksEncryption, !client.hasAsked {
            // One byte, not a message: no encryption here.
            guard client.inbox[0] == 0x4E || client.inbox[0] == 0x45 else {
                return found("O2 client \(client.number): no plain answer")
            }
            if client.inbox[0] == 0x4E { client.inbox.removeFirst(1) }
            client.hasAsked = true
            if let cable = client.cable { write(client.startupPacket, on: cable) }
        }
        while verdict.finding == nil, let header = client.inbox.header, client.inbox.count >= header.length {
            guard let (kind, body) = client.inbox.takeMessage() else {
                if client.isHarmed { return client.inbox.removeAll() }
                return found("O1 client \(client.number) got a message with the length \(header.length - 1)")
            }
            if client.phase == .loggingIn {
                loginMessage(client, kind, body)
            } else if client.isAdmin {
                consoleSays(client, kind, body)
            } else if isEvil(kind, body, for: client) {
                continue
            } else if client.isHarmed {
                if let owner = Ownership.owner(of: kind, body), owner != client.number {
                    found("O1 harmed client \(client.number) got what belongs to client \(owner)")
                }
            } else if let wrong = Transcript(permitted: permitted, client: client).check(kind, body) {
                found(wrong)
            } else {
                verdict.answers += 1
            }
        }
        if client.refusal != nil { checkTimeout(client) }
        if client.phase == .awaiting, client.isSettled {
            client.phase = .running
            goOn(client)
        }
    }

    /// A timeout may not come before its time: at the least, the client has been there as long.
    private func checkTimeout(_ client: SimulatedClient) {
        guard let refusal = client.refusal else { return }
        for (text, option) in Permitted.timeouts where refusal.hasPrefix(text) {
            let span = UInt64(scenario[option]) * 1000
            if clock < client.connectedAt + span {
                let age = clock - client.connectedAt
                found("O9 client \(client.number) was told \(text) \(age) us after it came")
            }
        }
    }

    private func loginMessage(_ client: SimulatedClient, _ kind: UInt8, _ body: Bytes) {
        switch kind {
        case 0x52:
            guard let cable = client.cable else { return }
            switch client.answer(body) {
            case .write(let bytes): write(bytes, on: cable)
            case .writeAndLeave(let bytes):
                write(bytes, on: cable)
                heap.add(.leave(client), at: clock + UInt64(client.random.below(20_000)))
            case .nothing: break
            case .wrong(let what): found("O6 client \(client.number) \(what)")
            }
        case 0x76: break
        case 0x53:
            let name = body.cString(at: 0)
            client.greeting.append((name.bytes, body.cString(at: name.next).bytes))
        case 0x4B:
            client.processID = body.uint32(at: 0)
            client.secret = Array(body.dropFirst(4))
        case 0x5A:
            if client.isHopeless { found("O2 client \(client.number) got in: \(client.login)") }
            if !client.isAdmin { checkGreeting(client) }
            client.phase = .running
            goOn(client)
        case 0x45:
            if client.isHopeless {
                client.refusal = Report(body).text
            } else if let wrong = Transcript(permitted: permitted, client: client).check(kind, body) {
                found(wrong)
            }
        case 0x4E: break
        default: found("O2 client \(client.number) got \(kind) while logging in")
        }
    }

    private func checkGreeting(_ client: SimulatedClient) {
        for (index, name) in SessionSettings.nameBytes.enumerated() {
            let told = client.greeting.last { $0.0 == name }?.1
            if told != client.ideal.settings.values[index] {
                found("O6 client \(client.number) was greeted with \(name.text)=\(told?.text ?? "nothing")")
            }
        }
    }

    /// The console's answers: whole messages of the kinds it may send, one ReadyForQuery for each command.
    private func consoleSays(_ client: SimulatedClient, _ kind: UInt8, _ body: Bytes) {
        switch kind {
        case 0x5A:
            client.answersOwed -= 1
            if client.answersOwed < 0 { found("O5 the console answers client \(client.number) unasked") }
        case 0x45:
            let report = Report(body)
            if report.severity == "FATAL" { client.refusal = report.text }
        case 0x54, 0x44, 0x43, 0x4E, 0x49: break
        default: found("O5 the console says \(kind) to client \(client.number)")
        }
        if Ownership.owner(of: kind, body) != nil { found("O1 the console shows a client's answers") }
    }

    func wake(_ client: SimulatedClient) {
        guard client.phase == .resting else { return }
        client.phase = .running
        goOn(client)
    }

    /// The script, up to where it has to wait.
    func goOn(_ client: SimulatedClient) {
        guard let cable = client.cable else { return }
        while client.phase == .running, client.script.reaches(client.place, isOver: isCalm) {
            let step = client.script.steps[client.place]
            client.place += 1
            switch step {
            case .round: break
            case .await:
                flush(client, cable)
                if !client.isSettled { client.phase = .awaiting }
            case .rest(let span):
                flush(client, cable)
                client.phase = .resting
                heap.add(.wake(client), at: clock + UInt64(isCalm ? 0 : span))
            case .deaf(let span):
                client.deafUntil = clock + UInt64(span)
            case .cancel(let after, let rightKey, let waits):
                flush(client, cable)
                heap.add(.cancel(client, rightKey: rightKey, waits: waits), at: clock + UInt64(after))
            case .cut(let count):
                if client.script.reaches(client.place, isOver: isCalm) {
                    var message = Bytes()
                    client.script.steps[client.place].write(into: &message)
                    client.outbox.append(contentsOf: message.prefix(count))
                    client.place += 1
                }
                flush(client, cable)
                leave(client, cable, isReset: false)
            case .halfClose:
                flush(client, cable)
                say("client \(client.number) says no more")
                client.hasTerminated = true
                client.phase = .parting
                halfClose(cable)
            case .vanish(let isReset):
                flush(client, cable)
                leave(client, cable, isReset: isReset)
            case .broken:
                // Whatever it is told, it may not be served any more.
                var message = Bytes()
                step.write(into: &message)
                client.outbox.append(contentsOf: message)
                client.hasTerminated = true
                client.hasBrokenFraming = true
                client.phase = .parting
            case .query, .parse, .bind, .describe, .execute, .closeName, .sync, .flush, .copyData, .copyDone,
                .copyFail, .call, .terminate:
                var message = Bytes()
                step.write(into: &message)
                client.outbox.append(contentsOf: message)
                if client.isAdmin { client.answersOwed += 1 } else { client.ideal.input.append(message) }
                if step == .terminate {
                    client.hasTerminated = true
                    client.phase = .parting
                }
            }
        }
        flush(client, cable)
    }

    private func flush(_ client: SimulatedClient, _ cable: Cable) {
        guard !client.outbox.isEmpty else { return }
        say("client \(client.number) writes \(client.outbox.shown)")
        write(client.outbox, on: cable)
        client.outbox.removeAll(keepingCapacity: true)
    }

    private func leave(_ client: SimulatedClient, _ cable: Cable, isReset: Bool) {
        say("client \(client.number) leaves")
        client.phase = .ended
        endFar(cable, isReset: isReset)
        comeAgain(client)
    }

    /// The rest of its script, on a new connection.
    private func comeAgain(_ client: SimulatedClient) {
        guard client.life < knobs.lives, !isCalm, !client.isThrough,
            let place = clients.firstIndex(where: { $0 === client })
        else { return }
        var script = client.script
        // Not shared: the script that goes on is not copied for those who are gone.
        client.script.steps = []
        client.script.maker = nil
        while script.reaches(client.place, isOver: false), script.steps[client.place] != .round {
            client.place += 1
        }
        let next = SimulatedClient(
            script: script, random: Random(seed: client.random.next()), life: client.life + 1,
            place: client.place)
        next.takesAnyDatabase = client.takesAnyDatabase
        formerClients.append(client)
        clients[place] = next
        heap.add(.connect(next), at: clock + 500 + UInt64(next.random.below(30_000)))
    }

    /// A client whose answers were spoilt has had enough.
    func leave(_ client: SimulatedClient) {
        guard client.phase != .ended, client.phase != .notYet, let cable = client.cable else { return }
        leave(client, cable, isReset: false)
    }

    func clientSeesEnd(_ client: SimulatedClient) {
        guard client.phase != .ended else { return }
        say("client \(client.number) sees the end")
        defer {
            client.phase = .ended
            comeAgain(client)
        }
        if client.refusal != nil || client.hasTerminated || client.isHarmed || client.isHopeless { return }
        if permitted.mayEndSilently, !client.inbox.isEmpty { return }
        found("O2 the connection of client \(client.number) was closed without a word")
    }

    // MARK: Cancel requests

    func askCancel(of client: SimulatedClient, rightKey: Bool, waits: Bool) {
        guard client.processID != 0, !isCalm else { return }
        let asker = CancelAsker(target: client, isRight: rightKey, waits: waits)
        guard let cable = accept(.asker(asker), seed: UInt64(10_000 + askers.count)) else { return }
        askers.append((asker, cable))
        say("client \(client.number) is to be cancelled: \(cable.link.shown), key \(rightKey)")
        var packet = Bytes()
        packet.append(uint32: UInt32(12 + client.secret.count))
        packet.append(uint32: 80_877_102)
        packet.append(uint32: client.processID)
        var secret = client.secret
        if !rightKey { secret[secret.count - 1] ^= 1 }
        packet.append(contentsOf: secret)
        if rightKey { client.cancelsAsked += 1 }
        write(packet, on: cable)
        if !waits { endFar(cable, isReset: false) }
    }
}

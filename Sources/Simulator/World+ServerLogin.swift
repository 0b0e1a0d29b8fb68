import Primitives

/// Logins to the model PostgreSQL: it asks for a password, properly or not.
extension World {
    func askPassword(_ server: SimulatedServer, _ cable: Cable) {
        server.phase = .authenticating
        server.exchange.method = knobs.serverAuth
        server.exchange.salt = server.random.bytes(4)
        let isScram = knobs.serverAuth == .scram
        if !isCalm, knobs.loginEvil > 0, server.random.below(100) < knobs.loginEvil {
            let all = isScram ? ServerExchange.Evil.allCases : ServerExchange.Evil.ofAnyMethod
            server.exchange.evil = all[server.random.below(all.count)]
            say("server \(server.number) is hostile at login: \(server.exchange.evil.map { "\($0)" } ?? "")")
        }
        var out = Bytes()
        switch server.exchange.evil {
        case .unknownRequest:
            out.message("R") { $0.append(uint32: 7) }
            server.exchange.answersLeft = 0
        case .readyEarly:
            out.message("Z") { $0.append(0x49) }
            server.exchange.ask(into: &out)
            server.exchange.answersLeft = 0
        case .refuses:
            server.backend.fatal("28P01", "password authentication failed for user")
            flush(server, cable)
            server.phase = .ended
            return endFar(cable, isReset: false)
        case .closes:
            server.phase = .ended
            return endFar(cable, isReset: server.random.below(2) == 0)
        case .silence:
            server.exchange.ask(into: &out)
            out = Array(out.prefix(1 + server.random.below(out.count - 1)))
            server.exchange.answersLeft = 0
        case .asksTwice:
            server.exchange.ask(into: &out)
            server.exchange.ask(into: &out)
            server.exchange.answersLeft = 1
        case .finalFirst:
            server.exchange.ask(into: &out)
            out.message("R") {
                $0.append(uint32: 12)
                $0.append(contentsOf: "v=AAAA".utf8)
            }
            server.exchange.answersLeft = 1
        case .unknownMechanism:
            server.exchange.ask(into: &out)
            server.exchange.answersLeft = 0
        case .okWithoutProof, .wrongSignature, .wrongNonce, .manyIterations, nil:
            server.exchange.ask(into: &out)
        }
        say("server \(server.number) \(cable.link.shown) asks \(out.shown)")
        write(out, on: cable)
    }

    /// The pooler answers.
    func passwordArrives(_ server: SimulatedServer) {
        guard let cable = server.cable else { return }
        while server.phase == .authenticating, verdict.finding == nil, let header = server.startup.header,
            server.startup.count >= header.length, let (kind, body) = server.startup.takeMessage()
        {
            if kind == 0x58 {
                server.phase = .ended
                return
            }
            guard kind == 0x70 else { return found("O6 a server that asked for a password got \(kind)") }
            if let left = server.exchange.answersLeft {
                server.exchange.answersLeft = left - 1
                if left == 0 { found("O6 a server that proved nothing was answered") }
                continue
            }
            if server.exchange.method == .scram {
                scramArrives(server, cable, body)
            } else if isRight(body, server) {
                greet(server, cable)
            } else {
                found("O6 the pooler logs in with a wrong password")
            }
        }
    }

    private func isRight(_ body: Bytes, _ server: SimulatedServer) -> Bool {
        let text = body.cString(at: 0)
        guard text.next == body.count else { return false }
        if server.exchange.method == .plain { return text.bytes.text == Passwords.right }
        return text.bytes == Passwords.md5(Passwords.right, user: server.user, salt: server.exchange.salt)
    }

    private func scramArrives(_ server: SimulatedServer, _ cable: Cable, _ body: Bytes) {
        var out = Bytes()
        let isFirst = server.exchange.isFirst
        if isFirst {
            let nonce = Passwords.base64(server.random.bytes(6))
            guard server.exchange.first(body, nonce: nonce, into: &out) else {
                return found("O6 the pooler begins SCRAM with \(body.shown)")
            }
            if server.exchange.evil == .okWithoutProof {
                server.exchange.answersLeft = 0
                return pretend(server, cable, [])
            }
            if server.exchange.evil == .wrongNonce || server.exchange.evil == .manyIterations {
                server.exchange.answersLeft = 0
            }
            return write(out, on: cable)
        }
        guard server.exchange.final(body, passwords, into: &out) else {
            return found("O6 the pooler proves nothing with \(body.shown)")
        }
        if server.exchange.evil == .wrongSignature {
            server.exchange.answersLeft = 0
            return pretend(server, cable, out)
        }
        write(out, on: cable)
        greet(server, cable)
    }

    /// It says that all is well, and has not proved who it is: nothing may be asked of it.
    private func pretend(_ server: SimulatedServer, _ cable: Cable, _ first: Bytes) {
        say("server \(server.number) pretends")
        write(first + greeting(of: server), on: cable)
    }
}

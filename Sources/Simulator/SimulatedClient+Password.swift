import Auth
import Crypto
import Primitives

/// How a client proves who it is, or fails to.
extension SimulatedClient {
    /// What is left to do after an authentication request.
    enum PasswordStep {
        case write(Bytes)
        /// Write this, then be gone.
        case writeAndLeave(Bytes)
        case nothing
        case wrong(String)
    }

    private var typed: String { login == .wrongPassword ? "wrong" : Passwords.right }

    /// AuthenticationXxx has come.
    func answer(_ body: Bytes) -> PasswordStep {
        let code = body.uint32(at: 0)
        if code == 0 {
            return prover == nil || hasProof ? .nothing : .wrong("was let in by a pooler that proved nothing")
        }
        var out = Bytes()
        switch code {
        case 3: out.message("p") { $0.append(cString: typed) }
        case 5:
            let salt = Array(body.dropFirst(4))
            out.message("p") { $0.append(cString: Passwords.md5(typed, user: script.user, salt: salt)) }
        case 10:
            let nonce = ByteString(Passwords.base64(random.bytes(12)))
            let prover = ScramProver(nonce: nonce)
            self.prover = prover
            out.message("p") {
                $0.append(cString: "SCRAM-SHA-256")
                $0.append(uint32: UInt32(prover.clientFirst.count))
                $0.append(contentsOf: prover.clientFirst.bytes)
            }
        case 11:
            guard let prover, let proof = proof(Array(body.dropFirst(4)), prover) else {
                // Who garbled its nonce is not answered with it.
                if login == .garbledExchange { return .writeAndLeave([]) }
                return .wrong("was told a bad server-first-message")
            }
            out.message("p") { $0.append(contentsOf: proof) }
        case 12:
            guard let signature, !hasProof,
                ByteString(Array(body.dropFirst(4))).withView({
                    ScramProver.verify(serverFinal: $0, signature: signature)
                }) == true
            else { return .wrong("was shown a wrong signature") }
            hasProof = true
            return .nothing
        default: return .wrong("was asked for \(code)")
        }
        return spoilt(out, isFirst: code != 11)
    }

    private func proof(_ message: Bytes, _ prover: ScramProver) -> Bytes? {
        guard let first = ByteString(message).withView({ prover.parse(serverFirst: $0) }),
            first.iterations <= 16
        else { return nil }
        let salt = message.split(separator: 0x2C).dropFirst().first.map { Array($0.dropFirst(2)) } ?? []
        guard let bytes = ByteString(salt).withView({ Base64.decode($0) }) else { return nil }
        let keys = ByteString(typed).withView {
            ScramKeys.derive(password: $0, salt: ByteString(bytes), iterations: first.iterations)
        }
        let (text, signature) = prover.answer(first, keys: keys)
        self.signature = signature
        return text.bytes
    }

    /// The answer as this client gives it.
    private func spoilt(_ out: Bytes, isFirst: Bool) -> PasswordStep {
        switch login {
        case .silent: return .nothing
        case .cutExchange:
            // Behind the first or the second request.
            if isFirst, prover != nil, number % 2 == 1 { return .write(out) }
            return .writeAndLeave(Array(out.prefix(random.below(out.count))))
        case .garbledExchange:
            return .write(garbled(out, isFirst: isFirst))
        case .plain, .asksEncryption, .smuggles, .unknownDatabase, .wrongPassword, .garbage, .future, .noUser,
            .half:
            return .write(out)
        }
    }

    private func garbled(_ message: Bytes, isFirst: Bool) -> Bytes {
        var out = message
        switch number % 5 {
        case 0: out[5 + random.below(out.count - 5)] ^= 1
        case 1:
            // All that follows at once, and none of it right.
            if prover == nil { out.removeAll() }
            out.message("p") { $0.append(contentsOf: "c=biws,r=none,p=AAAA".utf8) }
        case 2:
            out.removeAll()
            out.message("Q") { $0.append(cString: "select 1") }
        case 3:
            out.removeAll()
            out.message("p") { $0.append(contentsOf: repeatElement(0x61, count: random.below(2000))) }
        default:
            if isFirst, prover != nil { return out }
            out.removeLast()
            out[4] &-= 1
        }
        return out
    }
}

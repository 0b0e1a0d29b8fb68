import Auth
import Crypto
import Primitives
import Testing
import Wire

@Suite struct ClientAuthTests {
    /// Which secret lets a client in that knows the password, by method (B42, B43, B44).
    @Test(arguments: [ClientMethod.trust, .plain, .md5, .scram], SecretSample.allCases)
    func rightPassword(method: ClientMethod, sample: SecretSample) {
        var client = Login(method, sample.secret)
        var server = ServerLogin(.secret(Secret(Login.password)))
        let end = converse(&client, &server)
        let mayIn =
            switch (method, sample) {
            case (.trust, .unknown), (_, .malformed), (_, .empty), (_, .unknown):
                method == .trust && sample != .unknown
            case (.scram, .md5): false
            default: true
            }
        #expect(
            end.client.isAccepted == mayIn, "\(method) \(sample) \(String(describing: end.client.failure))")
        #expect((end.server?.isAccepted ?? false) == mayIn)
        #expect((end.client.keys != nil) == (mayIn && sample == .scram && method != .trust))
    }

    @Test(arguments: [ClientMethod.plain, .md5, .scram], SecretSample.allCases)
    func wrongPassword(method: ClientMethod, sample: SecretSample) {
        var client = Login(method, sample.secret)
        var server = ServerLogin(.secret(Secret("pencils" as ByteString)))
        let end = converse(&client, &server)
        let isSASL = method == .scram || (method == .md5 && sample == .scram)
        #expect(
            end.client.failure?.text
                == (isSASL ? "SASL authentication failed" : "password authentication failed"))
        #expect(end.server?.isAccepted != true)
    }

    /// §3e line 3: unknown, md5, malformed and known users see messages of one shape, and as many.
    @Test(arguments: [ClientMethod.plain, .md5, .scram])
    func unknownUsersLookLikeWrongPasswords(method: ClientMethod) {
        func shape(_ sample: SecretSample) -> [String] {
            var client = Login(method, sample.secret)
            var server = ServerLogin(.secret(Secret("wrong" as ByteString)))
            var (step, requests) = client.begin()
            var shape: [String] = []
            while let message = requests.first, step.isWaiting {
                shape.append("\(message.kind) \(message.body.count)")
                guard let reply = server.received(message.body).1.first else { break }
                (step, requests) = client.received(reply.body)
            }
            return shape + [step.failure?.text.lossyText ?? "in"]
        }
        let known = shape(.plain)
        for sample in SecretSample.allCases where !(method == .md5 && sample == .scram) {
            #expect(shape(sample) == known, "\(sample)")
        }
    }

    @Test func theSaltOfAUserIsTheSameEveryTimeKnownOrNot() {
        func salt(_ secret: Secret?, seed: UInt64) -> String? {
            var client = Login(.scram, secret)
            client.entropy = Random(seed: seed)
            _ = client.begin()
            let text = client.received(saslInitial("n,,n=,r=abc")).1.first?.body.lossyText
            return text?.split(separator: ",").dropFirst().joined(separator: ",")
        }
        #expect(salt(nil, seed: 1) == salt(nil, seed: 2))
        #expect(salt(nil, seed: 1) == salt(Secret("p" as ByteString), seed: 3))
    }

    @Test func trustOfAnUnknownUser() {
        var client = Login(.trust, nil)
        #expect(client.begin().0.failure?.text == "\"trust\" authentication failed")
    }

    @Test func plainSecretsRunPBKDF2Once() {
        var cache = ScramKeyCache(capacity: 4)
        for round in 0..<5 {
            var client = Login(.scram, Secret(Login.password))
            client.cache = cache
            var server = ServerLogin(.secret(Secret(Login.password)))
            #expect(converse(&client, &server).client.isAccepted)
            cache = client.cache
            #expect(cache.misses == 1 && cache.hits == UInt64(round))
        }
    }

    /// What somebody else derives is what this would have derived, and then it does not.
    @Test func derivationsAreAnnounced() {
        let verifier = Secret(
            Login.password.withView { ScramVerifier.derive(password: $0, salt: "salt", iterations: 16) }.text)
        for (method, secret, isNobody) in [
            (ClientMethod.plain, verifier, false), (.plain, nil, true), (.scram, Secret("pencil"), false),
        ] as [(ClientMethod, Secret?, Bool)] {
            var login = Login(method, secret, derivesForNobody: isNobody)
            #expect(login.auth.derivation(for: ByteView(UnsafeRawBufferPointer(start: nil, count: 0))) == nil)
            _ = login.begin()
            let body: ByteString =
                method == .plain ? "pencil\0" : "SCRAM-SHA-256\0\0\0\0\u{E}n,,n=,r=abcdef"
            guard let derivation = body.withView({ login.auth.derivation(for: $0) }) else {
                Issue.record("nothing to derive for \(method)")
                continue
            }
            let keys = derivation.secret.withView {
                ScramKeys.derive(password: $0, salt: derivation.salt, iterations: derivation.iterations)
            }
            login.cache.put(keys, for: derivation)
            #expect(login.cache.has(derivation))
            let misses = login.cache.misses
            let (step, _) = login.received(body)
            #expect(login.cache.misses == misses)
            #expect(login.cache.hits == 1)
            if case .accepted = step { #expect(secret != nil) } else { #expect(method == .scram || isNobody) }
        }
        var unknown = Login(.plain, nil)
        _ = unknown.begin()
        #expect(("x\0" as ByteString).withView { unknown.auth.derivation(for: $0) } == nil)
    }

    @Test func requestsAreThoseOfTheManual() {
        var plain = Login(.plain, nil)
        #expect(plain.begin().1 == [Message(kind: 0x52, body: request(.cleartextPassword))])
        var md5 = Login(.md5, nil)
        #expect(md5.begin().1.first?.body.count == 8)
        var scram = Login(.scram, nil)
        #expect(scram.begin().1 == [Message(kind: 0x52, body: request(.sasl, "SCRAM-SHA-256\0\0"))])
    }

    /// C24, C25.
    @Test func passwordMessages() {
        func failure(_ body: ByteString, secret: ByteString = "pencil") -> ClientAuthStep {
            var client = Login(.plain, Secret(secret))
            _ = client.begin()
            return client.received(body).0
        }
        #expect(failure("\0").failure?.text == "empty password returned by client")
        #expect(failure("pencil\0").isAccepted)
        for bad in ["", "pencil", "pencil\0\0", "pencil\0x", "pen\0cil\0", "\0pencil\0"] as [ByteString] {
            #expect(failure(bad).failure != nil)
        }
        let longest = [UInt8](repeating: 0x61, count: 65_535)
        #expect(failure(ByteString(longest + [0]), secret: ByteString(longest)).isAccepted)
        let tooLong = ByteString([UInt8](repeating: 0x61, count: 65_536) + [0])
        #expect(failure(tooLong).failure == .password(.tooLong))
        var unknown = Login(.md5, nil)
        _ = unknown.begin()
        #expect(unknown.received("\0").0.failure?.text == "empty password returned by client")
    }

    /// C20, C22, C31: nothing is taken out of turn, and limits follow the state.
    @Test func limitsAndTurns() {
        var client = Login(.plain, Secret(Login.password))
        #expect(client.auth.bodyLimitBytes == 0)
        #expect(client.received("pencil\0").0.failure != nil)
        client = Login(.plain, Secret(Login.password))
        _ = client.begin()
        #expect(client.auth.bodyLimitBytes == 65_536)
        #expect(client.received("pencil\0").0.isAccepted)
        #expect(client.auth.bodyLimitBytes == 0)
        #expect(client.received("pencil\0").0.failure != nil)
        #expect(client.begin().0.failure != nil)
        var scram = Login(.scram, nil)
        _ = scram.begin()
        #expect(scram.auth.bodyLimitBytes == 1024)
        #expect(scram.auth.failureOverLimit.text == "SASL authentication failed")
    }

    @Test func anMD5AnswerHoldsOnlyForItsSalt() {
        var first = Login(.md5, Secret(Login.password))
        var server = ServerLogin(.secret(Secret(Login.password)))
        guard let question = first.begin().1.first, let answer = server.received(question.body).1.first else {
            Issue.record("no exchange")
            return
        }
        var second = Login(.md5, Secret(Login.password))
        second.entropy = Random(seed: 99)
        _ = second.begin()
        #expect(second.received(answer.body).0.failure == .password(.wrongPassword))
        #expect(first.received(answer.body).0.isAccepted)
    }

    @Test func aVerifierTooCostlyToComputeIsRefusedUnderPlain() {
        let text = SecretSample.verifier.text.lossyText.replacing("$16:", with: "$2000000000:")
        var client = Login(.plain, Secret(ByteString(text)))
        _ = client.begin()
        #expect(client.received("pencil\0").0.failure == .password(.tooManyIterations))
    }
}

import Auth
import Crypto
import Primitives
import Testing

@Suite struct SecretTests {
    @Test func kinds() {
        let digits = "0123456789abcdef0123456789abcdef"
        let verifier =
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
            + ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        let cases: [(String, SecretKind)] = [
            ("pencil", .plain), ("", .plain), ("md5" + digits, .md5), ("md5" + digits + "0", .plain),
            ("md5" + digits.uppercased(), .plain), ("md5", .plain), (verifier, .scram),
            (verifier + "x", .malformed), ("SCRAM-SHA-256$", .malformed),
            (verifier.replacing("$4096:", with: "$0:"), .malformed),
            (verifier.replacing("$4096:", with: "$-1:"), .malformed),
            (verifier.replacing("$4096:", with: "$99999999999:"), .malformed),
            (verifier.replacing("$4096:", with: "$4096"), .malformed), ("SCRAM-SHA-1$4096:a$b:c", .plain),
        ]
        for (text, kind) in cases { #expect(Secret(ByteString(text)).kind == kind, "\(text)") }
        #expect(Secret(ByteString(verifier)).verifier?.text == ByteString(verifier))
    }

    @Test func everyPrefixOfAVerifierIsMalformed() {
        let text = SecretSample.verifier.text
        for count in 14..<text.count {
            #expect(text.withView { Secret($0.slice(0, count)).kind } == .malformed)
        }
    }

    @Test func printingShowsNoSecret() throws {
        var client = Login(.scram, Secret(Login.password))
        var server = ServerLogin(.secret(Secret(Login.password)))
        _ = converse(&client, &server)
        let keys = client.cache.keys(of: Secret("a" as ByteString), salt: "salt", iterations: 1)
        var text = ""
        dump(keys.clientKey, to: &text)
        dump(keys, to: &text)
        dump(client, to: &text)
        dump(server, to: &text)
        dump(SecretSample.verifier, to: &text)
        text += "\(keys.clientKey) \(keys) \(client) \(server) \(Secret(Login.password))"
        let byte = keys.clientKey.withView { $0[0] ?? 0 }
        #expect(!text.contains("\(Array(Login.password.bytes))".dropFirst().dropLast()))
        #expect(!text.contains("pencil") && !"\(keys.clientKey)".contains("\(byte)"))
    }

    @Test func mockSaltIsStablePerUser() {
        #expect(Login.instance.salt(for: "bob") == Login.instance.salt(for: "bob"))
        #expect(Login.instance.salt(for: "bob") != Login.instance.salt(for: "bobby"))
        #expect(Login.instance.salt(for: "bob").count == 16)
        var entropy: any Entropy = Random(seed: 3)
        #expect(InstanceSecret.random(&entropy).salt(for: "bob") != Login.instance.salt(for: "bob"))
    }
}

@Suite struct ScramKeyCacheTests {
    @Test func derivesOncePerSecretSaltAndIterations() {
        var cache = ScramKeyCache(capacity: 2)
        let (a, b) = (Secret("a" as ByteString), Secret("b" as ByteString))
        let first = cache.keys(of: a, salt: "salt", iterations: 2)
        let second = cache.keys(of: Secret("a" as ByteString), salt: "salt", iterations: 2)
        #expect(first.clientKey.equals(second.clientKey))
        #expect(cache.hits == 1 && cache.misses == 1)
        _ = cache.keys(of: a, salt: "other", iterations: 2)
        _ = cache.keys(of: a, salt: "other", iterations: 3)
        #expect(cache.misses == 3 && cache.count == 2)
        #expect(!cache.keys(of: b, salt: "other", iterations: 3).clientKey.equals(first.clientKey))
        #expect(cache.misses == 4 && cache.count == 2)
    }

    @Test func theLongestUnusedMakesRoom() {
        var cache = ScramKeyCache(capacity: 2)
        let secret = Secret("a" as ByteString)
        for salt in ["1", "2", "1", "3", "1"] as [ByteString] {
            _ = cache.keys(of: secret, salt: salt, iterations: 1)
        }
        #expect(cache.hits == 2 && cache.misses == 3)
        cache.removeAll()
        #expect(cache.count == 0)
    }
}

@Suite struct SASLprepTests {
    private func storedKey(_ password: [UInt8]) -> ByteString {
        ByteString(password).withView {
            ScramVerifier.derive(password: $0, salt: "salt", iterations: 1).storedKey.base64
        }
    }

    @Test func mapsSpacesAndDropsInvisibleCharacters() {
        #expect(storedKey(Array("I\u{AD}X\u{E9}".utf8)) == storedKey(Array("IX\u{E9}".utf8)))
        #expect(storedKey(Array("a\u{A0}b".utf8)) == storedKey(Array("a b".utf8)))
        #expect(storedKey(Array("\u{AD}".utf8)) != storedKey([]))
    }

    @Test(arguments: ["\u{1F44D}\u{200D}\u{1F4BB}", "\u{E000}\u{AD}", "\u{E9}\u{AD}\u{7}", "\u{AD}\u{FFFD}"])
    func keepsTextWithProhibitedCharacters(text: String) {
        let stripped = String(text.unicodeScalars.filter { $0 != "\u{AD}" && $0 != "\u{200D}" })
        #expect(storedKey(Array(text.utf8)) != storedKey(Array(stripped.utf8)))
    }

    @Test func keepsASCIIAndWhatIsNotUTF8() {
        #expect(storedKey([0x61, 0xFF]) != storedKey([0x61]))
        #expect(storedKey([0x61, 0xFF]) != storedKey([0x61, 0xFE]))
        #expect(storedKey([0x61, 0x07]) != storedKey([0x61]))
    }
}

/// Secrets that PostgreSQL 15 wrote for these passwords.
@Suite struct PostgreSQLSecretTests {
    @Test(arguments: [
        (
            "pencil",
            "SCRAM-SHA-256$4096:CoNm+4KvjcK+pO0x/b9WLA==$"
                + "p4WM7l7KPjLQzuUUloZUjDa+Wsc6XC39fMU68pJOtCg=:mj0ivM39ZHJXT0hVsCHTGmkqxLbej7Q7hPgipxOJ0+Q="
        ),
        (
            "p\u{E9}n\u{A0}c\u{AD}il",
            "SCRAM-SHA-256$4096:Gu3LwS4dYwVMubYbUVpqQw==$"
                + "rar0BSwWxoIlJ7kSvdyNiYGP4tCSgYdOG8jgBwWl6sI=:E293Yj2/PPqYCFMr7gP0JVUJWmWB4mMPJBzwd/VLg8U="
        ),
        (
            "\u{1F44D}\u{200D}\u{1F4BB}",
            "SCRAM-SHA-256$4096:9zavVUflg3UVCmtWt/Y+tQ==$"
                + "g9md1arThubVDG5dwLO3az1loef9c4q8jugqm0Jd9LQ=:ySyOdzZMTzppdiL47apJW9mma/57CwCE435MBMM1jzM="
        ),
        (
            "\u{E000}\u{AD}",
            "SCRAM-SHA-256$4096:DNrL7/t/SjQnjHLgP8D2vA==$"
                + "NnU9ZKIVBNJ5zVOyfKOXIcwzkL3RUiOodXRB5CWpcNw=:cNctdp6G9q9p2NvLc0CSSf9Jd04m1d6dCU8OyKLTST0="
        ),
    ])
    func scram(password: String, text: String) throws {
        let verifier = try #require(Secret(ByteString(text)).verifier)
        let derived = ByteString(password).withView {
            ScramVerifier.derive(password: $0, salt: verifier.salt, iterations: verifier.iterations)
        }
        #expect(derived.text == ByteString(text))
    }

    @Test func md5() {
        let user: ByteString = "e"
        var client = Login(.plain, Secret("md516ead560cce489da9f2fd00912e06712" as ByteString), user: user)
        _ = client.begin()
        #expect(client.received("pencil\0").0.isAccepted)
    }
}

import Crypto
import Primitives
import Testing

private func hex(_ digest: Digest256) -> String {
    digest.withView { view in view.rawBuffer.map { hexDigits($0) }.joined() }
}

private func hexDigits(_ byte: UInt8) -> String {
    let text = String(byte, radix: 16)
    return text.count == 1 ? "0" + text : text
}

private func bytes(_ byte: UInt8, _ count: Int) -> ByteString {
    ByteString([UInt8](repeating: byte, count: count))
}

@Suite struct DigestTests {
    /// FIPS 180-2, appendix B.
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ])
    func sha256(message: String, digest: String) {
        #expect(ByteString(message).withView { hex(SHA256.hash($0)) } == digest)
    }

    /// RFC 4231, test cases 1, 2, 3 and 6.
    @Test func hmac() {
        let cases: [(ByteString, ByteString, String)] = [
            (
                bytes(0x0B, 20), "Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                "Jefe", "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                bytes(0xAA, 20), bytes(0xDD, 50),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
            ),
            (
                bytes(0xAA, 131), "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
            ),
        ]
        for (key, message, digest) in cases {
            #expect(key.withView { k in message.withView { hex(SHA256.hmac(key: k, $0)) } } == digest)
        }
    }

    @Test func hmacOfNothingUnderAnEmptyKey() {
        let empty: ByteString = ""
        #expect(
            empty.withView { hex(SHA256.hmac(key: $0, $0)) }
                == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
    }

    /// RFC 7914, section 11 (first 32 bytes), and the widely used vectors for "password"/"salt".
    @Test(arguments: [
        ("passwd", "salt", 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"),
        ("password", "salt", 2, "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43"),
        ("password", "salt", 4096, "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a"),
    ])
    func pbkdf2(password: String, salt: String, iterations: Int, digest: String) {
        let computed = ByteString(password).withView { password in
            ByteString(salt).withView { SHA256.pbkdf2(password: password, salt: $0, iterations: iterations) }
        }
        #expect(hex(computed) == digest)
    }

    /// RFC 1321, appendix A.5.
    @Test(arguments: [
        ("", "d41d8cd98f00b204e9800998ecf8427e"), ("a", "0cc175b9c0f1b6a831c399e269772661"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"), ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
    ])
    func md5(message: String, digest: String) {
        let whole = Array(message.utf8)
        for cut in 0...whole.count {
            let computed = ByteString(Array(whole[..<cut])).withView { first in
                ByteString(Array(whole[cut...])).withView { MD5.hex(first, $0) }
            }
            #expect(computed == Array(digest.utf8))
        }
    }
}

@Suite struct Base64Tests {
    /// RFC 4648, section 10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func vectors(bytes: String, text: String) {
        #expect(ByteString(bytes).withView { Base64.encode($0) } == ByteString(text))
        #expect(ByteString(text).withView { Base64.decode($0) } == Array(bytes.utf8))
    }

    @Test(arguments: [
        "Z", "Zg", "Zg=", "Zg===", "Z===", "====", "=", "Zh==", "Zm9=", "Zg==Zg==", "Zm9v\n", " Zm9", "Zm-_",
        "Zm=v",
        "Zm9v=", "Zm9vZ", "\u{0}m9v",
    ])
    func refuses(text: String) {
        #expect(ByteString(text).withView { Base64.decode($0) } == nil)
    }

    @Test func roundTrip() {
        var random = Random(seed: 1)
        for count in 0..<200 {
            let bytes = random.bytes(count)
            let text = ByteString(bytes).withView { Base64.encode($0) }
            #expect(text.withView { Base64.decode($0) } == bytes)
        }
    }
}

@Suite struct SecretBytesTests {
    @Test func comparesByContent() {
        func secret(_ text: ByteString) -> SecretBytes { text.withView { SecretBytes($0) } }
        #expect(secret("same").equals(secret("same")))
        #expect(!secret("same").equals(secret("sane")))
        #expect(!secret("same").equals(secret("sam")))
        #expect(secret("").equals(secret("")))
        #expect(secret("kept").withView { ByteString($0) } == "kept")
    }

    @Test func passwordsOfDifferentLengthDiffer() {
        func equal(_ a: ByteString, _ b: ByteString) -> Bool {
            a.withView { a in b.withView { ConstantTime.equalSecrets(a, $0) } }
        }
        #expect(equal("secret", "secret"))
        #expect(!equal("secret", "secret "))
        #expect(!equal("", "a"))
    }

    @Test func aPairKeepsBoth() {
        let (a, b) = ("a" as ByteString, "b" as ByteString)
        let pair = SecretDigestPair(a.withView { SHA256.hash($0) }, b.withView { SHA256.hash($0) })
        #expect(pair.first.equals(a.withView { SHA256.hash($0) }))
        #expect(pair.second.equals(b.withView { SHA256.hash($0) }))
        #expect(!pair.first.equals(pair.second))
    }
}

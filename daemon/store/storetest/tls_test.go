package storetest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/daemon/store"
)

// TestTLSAndACL: over TLS, as a user who may do no more than the store needs, with a
// password that is hard to write in a URL.
func TestTLSAndACL(t *testing.T) {
	t.Parallel()
	const password = "p@ss/?#%:,w"
	p := start(t)
	dir := certificates(t)
	conf := filepath.Join(p.dir, "redis.conf")
	text := fmt.Sprintf("tls-port %s\ntls-cert-file %s/server.pem\ntls-key-file %s/server.key\ntls-ca-cert-file %s/ca.pem\ntls-auth-clients optional\n"+
		"user spark on >%s ~spark:alerts:* ~{spark:alerts:scheduler:lock}:* &{spark:alerts:scheduler:lock}:* +@all -@admin -@dangerous +info\n",
		p.bus, dir, dir, dir, password)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.args = []string{conf}
	p.data()
	settled(t, p.client)
	addr := "127.0.0.1:" + p.bus
	user := "spark:" + url.QueryEscape(password)
	ca := "?ca=" + dir + "/ca.pem"

	s := openStore(t, "rediss://"+user+"@"+addr+ca)
	hints := watched(t, s)
	a := lead(t, s, "a", time.Hour)
	if _, err := s.Renew(t.Context(), a.Token, time.Hour, 0); err != nil {
		t.Errorf("Renew: %v", err)
	}
	if err := s.CreateAlert(t.Context(), alert.Alert{ID: "a", Params: alert.Price{Op: alert.OpAbove, Level: 1}}); err != nil {
		t.Errorf("CreateAlert: %v", err)
	}
	if _, err := s.Beat(t.Context(), store.Member{ID: "a"}, true); err != nil {
		t.Errorf("Beat: %v", err)
	}
	if l, err := s.Lock(t.Context()); err != nil || l.Value != "a" || len(l.Members) != 1 {
		t.Errorf("Lock = %+v, %v", l, err)
	}
	if _, err := s.Claim(t.Context(), "c", 1, time.Minute, 1); err != nil {
		t.Errorf("Claim: %v", err)
	}
	heard := hints.Load()
	p.do("DEL", lockKey)
	more(t, hints, heard, "hint of DEL over TLS")

	for name, tt := range map[string]struct{ url, want string }{
		"the default user":           {"rediss://" + addr + ca, ""},
		"by the certificate's name":  {"rediss://" + addr + ca + "&server_name=redis.test", ""},
		"unverified":                 {"rediss://" + addr + "?skip_verify=true", ""},
		"an authority not known":     {"rediss://" + addr, "x509"},
		"another name":               {"rediss://" + addr + ca + "&server_name=other.test", "x509"},
		"a wrong password":           {"rediss://spark:hunter2@" + addr + ca, "WRONGPASS"},
		"TLS to a port without":      {"rediss://" + p.addr + ca, ""},
		"no TLS to a port that asks": {"redis://" + addr, ""},
	} {
		_, err := openStore(t, tt.url).Ping(t.Context())
		bad := tt.want != "" || strings.Contains(name, "port")
		if bad != errors.Is(err, store.ErrUnavailable) || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: Ping = %v, want %q", name, err, tt.want)
		}
	}

	// Certificates on both sides.
	p.do("CONFIG", "SET", "tls-auth-clients", "yes")
	if _, err := openStore(t, "rediss://"+addr+ca).Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Ping without a certificate = %v, want ErrUnavailable", err)
	}
	if _, err := openStore(t, "rediss://"+addr+ca+"&cert="+dir+"/client.pem&key="+dir+"/client.key").Ping(t.Context()); err != nil {
		t.Errorf("Ping with a certificate = %v", err)
	}
}

// certificates writes an authority and two certificates by it into a directory.
func certificates(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var authority *x509.Certificate
	var authorityKey *ecdsa.PrivateKey
	for i, name := range []string{"ca", "server", "client"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		switch name {
		case "ca":
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
			authority, authorityKey = c, key
		case "server":
			c.DNSNames, c.IPAddresses = []string{"redis.test"}, []net.IP{net.IPv4(127, 0, 0, 1)}
		}
		der, err := x509.CreateCertificate(rand.Reader, c, authority, &key.PublicKey, authorityKey)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(name+".pem", "CERTIFICATE", der)
		write(name+".key", "PRIVATE KEY", secret)
	}
	return dir
}

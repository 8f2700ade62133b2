# gatehouse-guest-engine 1
<#
Makes a Windows gateway look like its guest document, or says where it does not. Windows PowerShell 5.1, run as SYSTEM by Run Command.

  Document          gzip in base64url of the guest document's JSON (shared/guest/document.ts)
  Mode              test: change nothing; set: change what differs, then test again
  IdentityClientId  client id of the machine's user-assigned identity, which may read the machine's secrets

Prints one JSON line: { inDesiredState, generation, differences, changed } and, after a failure, error { code, message }. Differences
are names of properties; a secret's value is never printed, and nothing of it is written but to its place.

Sources: IIS 6.0 metabase reference on learn.microsoft.com (SmartHostType ms525300, RouteAction ms524483, AccessSSLFlags ms524954,
AlwaysUseSsl, FullyQualifiedDomainName), "Azure Instance Metadata Service", Key Vault REST "Get Secret".
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)] [ValidatePattern('^[A-Za-z0-9_-]+$')] [string] $Document,
    [Parameter(Mandatory = $true)] [ValidateSet('test', 'set')] [string] $Mode,
    [Parameter(Mandatory = $true)] [ValidatePattern('^[0-9a-fA-F-]{36}$')] [string] $IdentityClientId
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$WarningPreference = 'SilentlyContinue'
[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12

$StateKey = 'HKLM:\SOFTWARE\Gatehouse\Guest'
$SmtpServerPath = 'IIS://localhost/SMTPSVC/1'
$MutexName = 'Global\GatehouseGuestEngine'

# RouteAction's bits: Windows SDK, smtpinet.h
$RouteSmartHost = 0x0002
$RouteSsl = 0x0004
$RouteDomainRelay = 0x1000
# AccessSSLFlags: MD_ACCESS_SSL, "require TLS" on the Access tab
$AccessSsl = 0x0008

$secrets = @{}

function Read-Document([string] $Encoded) {
    $base64 = $Encoded.Replace('-', '+').Replace('_', '/')
    $base64 = $base64.PadRight($base64.Length + (4 - $base64.Length % 4) % 4, '=')
    $compressed = New-Object IO.MemoryStream(, [Convert]::FromBase64String($base64))
    $gzip = New-Object IO.Compression.GzipStream($compressed, [IO.Compression.CompressionMode]::Decompress)
    $reader = New-Object IO.StreamReader($gzip, [Text.Encoding]::UTF8)
    try { $json = $reader.ReadToEnd() } finally { $reader.Dispose() }
    $parsed = ConvertFrom-Json -InputObject $json
    if ($parsed.schema -ne 1) { throw "DocumentUnsupported: the document has schema $($parsed.schema), this engine reads 1" }
    return $parsed
}

# StrictMode throws on a property that is not there; the document leaves out what does not apply.
function Get-Optional($Object, [string] $Name) {
    $property = $Object.PSObject.Properties[$Name]
    if ($null -eq $property) { return $null }
    return $property.Value
}

# --- Secrets: pulled from the vault with the machine's own identity -----------------------------------------------------------------

function Get-IdentityToken([string] $Resource) {
    $query = 'api-version=2018-02-01&resource={0}&client_id={1}' -f [Uri]::EscapeDataString($Resource), $IdentityClientId
    $reply = Invoke-RestMethod -Method Get -Uri "http://169.254.169.254/metadata/identity/oauth2/token?$query" -Headers @{ Metadata = 'true' } -TimeoutSec 30
    return $reply.access_token
}

# A role assignment takes minutes to reach the vault, an identity a while to reach the machine: both answer 4xx until then.
function Get-Secret($Reference) {
    $id = '{0}/secrets/{1}/{2}' -f $Reference.vaultUrl.TrimEnd('/'), $Reference.name, $Reference.version
    if ($secrets.ContainsKey($id)) { return $secrets[$id] }
    # contoso.vault.azure.net is a vault of https://vault.azure.net, and so in every cloud
    $resource = 'https://' + ([Uri] $Reference.vaultUrl).Host.Split('.', 2)[1]
    $deadline = (Get-Date).AddMinutes(10)
    while ($true) {
        try {
            $token = Get-IdentityToken $resource
            $reply = Invoke-RestMethod -Method Get -Uri "${id}?api-version=7.4" -Headers @{ Authorization = "Bearer $token" } -TimeoutSec 30
            $secrets[$id] = [string] $reply.value
            return $secrets[$id]
        }
        catch {
            if ((Get-Date) -gt $deadline) { throw "SecretUnreadable: reading the secret $($Reference.name): $(Get-FailureStatus $_)" }
            Start-Sleep -Seconds 15
        }
    }
}

# Only the status: a reply's body or a request's header may hold what must not be printed.
function Get-FailureStatus($Failure) {
    $response = Get-Optional $Failure.Exception 'Response'
    if ($null -ne $response) { return "the answer was $([int] $response.StatusCode)" }
    return $Failure.Exception.GetType().Name
}

# --- Features -----------------------------------------------------------------------------------------------------------------------

function Test-Feature([string] $Name) {
    $feature = Get-WindowsFeature -Name $Name
    if ($null -eq $feature) { throw "FeatureUnknown: this Windows has no feature $Name; the image must be Windows Server 2022 or older" }
    return [bool] $feature.Installed
}

function Set-Feature([string] $Name) {
    $result = Install-WindowsFeature -Name $Name -IncludeManagementTools
    if (-not $result.Success) { throw "FeatureFailed: installing the feature $Name" }
    if ($result.RestartNeeded -eq 'Yes') { throw "RestartNeeded: the feature $Name needs a restart of the machine" }
}

# --- Registry -----------------------------------------------------------------------------------------------------------------------

function Get-DesiredValue($Entry) {
    $secret = Get-Optional $Entry 'secret'
    if ($null -ne $secret) { return [string] (Get-Optional $Entry 'prefix') + (Get-Secret $secret) }
    return [string] (Get-Optional $Entry 'value')
}

function Open-RegistryKey([string] $Path, [bool] $Writable) {
    # The 64-bit view, whatever the host that started us: the product's service reads that one.
    $machine = [Microsoft.Win32.RegistryKey]::OpenBaseKey([Microsoft.Win32.RegistryHive]::LocalMachine, [Microsoft.Win32.RegistryView]::Registry64)
    $below = $Path -replace '^HKLM\\', ''
    if ($Writable) { return $machine.CreateSubKey($below) }
    return $machine.OpenSubKey($below)
}

function Test-RegistryValue($Entry) {
    $key = Open-RegistryKey $Entry.path $false
    if ($null -eq $key) { return $false }
    try {
        $value = $key.GetValue($Entry.name, $null, [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
        if ($null -eq $value) { return $false }
        if ($key.GetValueKind($Entry.name) -ne [Microsoft.Win32.RegistryValueKind]::String) { return $false }
        return [string]::Equals([string] $value, (Get-DesiredValue $Entry), [StringComparison]::Ordinal)
    }
    finally { $key.Dispose() }
}

function Set-RegistryValue($Entry) {
    $key = Open-RegistryKey $Entry.path $true
    try { $key.SetValue($Entry.name, (Get-DesiredValue $Entry), [Microsoft.Win32.RegistryValueKind]::String) }
    finally { $key.Dispose() }
}

# --- Windows firewall (mission B2) --------------------------------------------------------------------------------------------------

function Get-RuleName($Entry) { return 'Gatehouse-' + ($Entry.name -replace '^Gatehouse ', '' -replace ' ', '-') }

function Get-RuleSources($Entry) {
    $sources = Get-Optional $Entry 'sources'
    if ($null -eq $sources) { return @('Any') }
    return @($sources | Sort-Object)
}

function Test-FirewallRule($Entry) {
    $rule = Get-NetFirewallRule -Name (Get-RuleName $Entry) -ErrorAction SilentlyContinue
    if ($null -eq $rule) { return $false }
    $port = $rule | Get-NetFirewallPortFilter
    # Windows gives 203.0.113.0/24 back as 203.0.113.0/255.255.255.0
    $sources = @(($rule | Get-NetFirewallAddressFilter).RemoteAddress | ForEach-Object { ConvertTo-Prefix $_ } | Sort-Object)
    return ([string] $rule.Enabled -eq 'True') -and ([string] $rule.Direction -eq 'Inbound') -and ([string] $rule.Action -eq 'Allow') -and
        ($port.Protocol -eq $Entry.protocol) -and ([string] $port.LocalPort -eq [string] $Entry.port) -and
        (($sources -join ',') -eq ((Get-RuleSources $Entry) -join ','))
}

function Set-FirewallRule($Entry) {
    $name = Get-RuleName $Entry
    Remove-NetFirewallRule -Name $name -ErrorAction SilentlyContinue
    [void] (New-NetFirewallRule -Name $name -DisplayName $Entry.name -Group 'Gatehouse' -Direction Inbound -Action Allow -Enabled True `
            -Profile Any -Protocol $Entry.protocol -LocalPort $Entry.port -RemoteAddress (Get-RuleSources $Entry))
}

# A port that the document no longer names is closed again; rules of others are left alone.
function Get-SurplusRules($Entries) {
    $wanted = @($Entries | ForEach-Object { Get-RuleName $_ })
    return @(Get-NetFirewallRule -Group 'Gatehouse' -ErrorAction SilentlyContinue | Where-Object { $wanted -notcontains $_.Name })
}

function ConvertTo-Prefix([string] $Range) {
    $address, $mask = $Range.Split('/')
    if ($null -eq $mask) { return $address }
    if ($mask -match '^\d+$') { if ($mask -eq '32') { return $address } else { return $Range } }
    $bits = 0
    foreach ($octet in ([Net.IPAddress] $mask).GetAddressBytes()) { $bits += ([Convert]::ToString($octet, 2) -replace '0', '').Length }
    if ($bits -eq 32) { return $address }
    return "$address/$bits"
}

# --- SMTP server (manual, chapter 3.2; mission B3) ----------------------------------------------------------------------------------

function Get-SmtpServer {
    $server = New-Object DirectoryServices.DirectoryEntry($SmtpServerPath)
    # The first access tells whether the metabase and the virtual server are there at all.
    [void] $server.psbase.Properties['ServerBindings'].Value
    return $server
}

function Get-MetabaseValue($Entry, [string] $Name) { return $Entry.psbase.Properties[$Name].Value }

function Get-RelayDomain($Server, [string] $Domain) {
    $path = "$SmtpServerPath/Domain/$Domain"
    if ([DirectoryServices.DirectoryEntry]::Exists($path)) { return New-Object DirectoryServices.DirectoryEntry($path) }
    return $null
}

function Get-RouteAction($Smtp) {
    $action = $RouteSmartHost -bor $RouteDomainRelay
    if ($Smtp.outboundTls) { $action = $action -bor $RouteSsl }
    return $action
}

# IIS' SMTP service takes the newest certificate of the machine whose name is the virtual server's; without one it offers no STARTTLS.
function Get-TlsCertificate([string] $Fqdn) {
    return Get-ChildItem -Path Cert:\LocalMachine\My | Where-Object {
        $_.HasPrivateKey -and $_.NotBefore -le (Get-Date) -and $_.NotAfter -gt (Get-Date).AddDays(14) -and
        (@($_.DnsNameList | ForEach-Object { $_.Unicode }) -contains $Fqdn)
    } | Sort-Object -Property NotAfter -Descending | Select-Object -First 1
}

# `address, mask`, as IIsIPSecuritySetting's IPGrant wants it
function ConvertTo-Grant([string] $Range) {
    $address, $prefix = $Range.Split('/')
    if ($null -eq $prefix) { $prefix = 32 }
    $bits = ('1' * [int] $prefix).PadRight(32, '0')
    $mask = @(0, 8, 16, 24 | ForEach-Object { [Convert]::ToInt32($bits.Substring($_, 8), 2) }) -join '.'
    return "$address, $mask"
}

function Get-RelayGrants($Smtp) {
    $ranges = Get-Optional $Smtp 'relayFrom'
    $grants = @('127.0.0.1, 255.255.255.255')
    if ($null -ne $ranges) { $grants += @($ranges | ForEach-Object { ConvertTo-Grant $_ }) }
    return @($grants | Sort-Object)
}

function Test-RelayGrants($Server, $Smtp) {
    $list = Get-MetabaseValue $Server 'RelayIpList'
    if ($null -eq $list) { return $false }
    $get = [Reflection.BindingFlags] 'Public, Instance, GetProperty'
    if ([bool] $list.GetType().InvokeMember('GrantByDefault', $get, $null, $list, $null)) { return $false }
    $granted = @($list.GetType().InvokeMember('IPGrant', $get, $null, $list, $null) | ForEach-Object { [string] $_ } | Sort-Object)
    return ($granted -join ';') -eq ((Get-RelayGrants $Smtp) -join ';')
}

function Set-RelayGrants($Server, $Smtp) {
    $set = [Reflection.BindingFlags] 'Public, Instance, SetProperty'
    $list = Get-MetabaseValue $Server 'RelayIpList'
    if ($null -eq $list) { throw 'RelayListMissing: the SMTP server keeps no list of relay addresses that could be changed' }
    [void] $list.GetType().InvokeMember('GrantByDefault', $set, $null, $list, @($false))
    [void] $list.GetType().InvokeMember('IPGrant', $set, $null, $list, (, [object[]] (Get-RelayGrants $Smtp)))
    $Server.psbase.Invoke('Put', @('RelayIpList', $list))
}

# In the manual's order: FQDN, smart host, TLS; the restart comes last of all.
function Get-SmtpDifferences($Smtp) {
    $found = New-Object Collections.Generic.List[string]
    try { $server = Get-SmtpServer } catch { $found.Add('smtp'); return $found }
    if ([string] (Get-MetabaseValue $server 'FullyQualifiedDomainName') -ne $Smtp.fqdn) { $found.Add('smtp/fqdn') }
    if ([string] (Get-MetabaseValue $server 'SmartHost') -ne $Smtp.smartHost) { $found.Add('smtp/smartHost') }
    # 2: always; 1 would try the recipient's MX first and mail would leave from the machine itself
    elseif ([int] (Get-MetabaseValue $server 'SmartHostType') -ne 2) { $found.Add('smtp/smartHost') }
    if ([bool] (Get-MetabaseValue $server 'AlwaysUseSsl') -ne [bool] $Smtp.outboundTls) { $found.Add('smtp/outboundTls') }
    $required = ([int] (Get-MetabaseValue $server 'AccessSSLFlags') -band $AccessSsl) -ne 0
    if ($required -ne [bool] $Smtp.inboundTls) { $found.Add('smtp/inboundTls') }
    elseif ($Smtp.inboundTls -and ($null -eq (Get-TlsCertificate $Smtp.fqdn))) { $found.Add('smtp/inboundTls') }
    foreach ($domain in $Smtp.relayFor) {
        $entry = Get-RelayDomain $server $domain
        if ($null -eq $entry) { $found.Add("smtp/relayFor/$domain") }
        elseif ([int] (Get-MetabaseValue $entry 'RouteAction') -ne (Get-RouteAction $Smtp)) { $found.Add("smtp/relayFor/$domain") }
        elseif ([string] (Get-MetabaseValue $entry 'RouteActionString') -ne $Smtp.smartHost) { $found.Add("smtp/relayFor/$domain") }
    }
    if (-not (Test-RelayGrants $server $Smtp)) { $found.Add('smtp/relayFrom') }
    return $found
}

function Set-Smtp($Smtp) {
    $server = Get-SmtpServer
    $server.psbase.Invoke('Put', @('FullyQualifiedDomainName', [string] $Smtp.fqdn))
    $server.psbase.Invoke('Put', @('SmartHost', [string] $Smtp.smartHost))
    $server.psbase.Invoke('Put', @('SmartHostType', 2))
    $server.psbase.Invoke('Put', @('AlwaysUseSsl', [bool] $Smtp.outboundTls))
    if ($Smtp.inboundTls -and ($null -eq (Get-TlsCertificate $Smtp.fqdn))) {
        # The customer's own certificate replaces it later (mission B15); without any there would be no TLS at all.
        [void] (New-SelfSignedCertificate -DnsName $Smtp.fqdn -CertStoreLocation Cert:\LocalMachine\My -KeyAlgorithm RSA -KeyLength 2048 `
                -NotAfter (Get-Date).AddYears(2) -FriendlyName 'Gatehouse SMTP')
    }
    $flags = [int] (Get-MetabaseValue $server 'AccessSSLFlags')
    if ($Smtp.inboundTls) { $flags = $flags -bor $AccessSsl } else { $flags = $flags -band (-bnot $AccessSsl) }
    $server.psbase.Invoke('Put', @('AccessSSLFlags', $flags))
    Set-RelayGrants $server $Smtp
    $server.psbase.Invoke('SetInfo')

    $domains = New-Object DirectoryServices.DirectoryEntry("$SmtpServerPath/Domain")
    foreach ($domain in $Smtp.relayFor) {
        $entry = Get-RelayDomain $server $domain
        if ($null -eq $entry) { $entry = New-Object DirectoryServices.DirectoryEntry($domains.psbase.Invoke('Create', @('IIsSmtpDomain', [string] $domain))) }
        $entry.psbase.Invoke('Put', @('RouteAction', [int] (Get-RouteAction $Smtp)))
        $entry.psbase.Invoke('Put', @('RouteActionString', [string] $Smtp.smartHost))
        $entry.psbase.Invoke('SetInfo')
    }
}

# --- Services -----------------------------------------------------------------------------------------------------------------------

function Test-ServiceEntry($Entry) {
    $service = Get-Service -Name $Entry.name -ErrorAction SilentlyContinue
    if ($null -eq $service) { return $false }
    return ([string] $service.StartType -eq $Entry.startType) -and ([string] $service.Status -eq $Entry.state)
}

function Set-ServiceEntry($Entry) {
    Set-Service -Name $Entry.name -StartupType $Entry.startType
    if ($Entry.state -eq 'Running') { Start-Service -Name $Entry.name } else { Stop-Service -Name $Entry.name -Force }
    (Get-Service -Name $Entry.name).WaitForStatus($Entry.state, [TimeSpan]::FromMinutes(2))
}

# --- The whole ----------------------------------------------------------------------------------------------------------------------

function Get-Differences($Desired) {
    $found = New-Object Collections.Generic.List[string]
    foreach ($feature in $Desired.features) { if (-not (Test-Feature $feature)) { $found.Add("features/$feature") } }
    foreach ($difference in (Get-SmtpDifferences $Desired.smtp)) { $found.Add($difference) }
    foreach ($entry in $Desired.registry) { if (-not (Test-RegistryValue $entry)) { $found.Add("registry/$($entry.path)\$($entry.name)") } }
    foreach ($entry in $Desired.firewall) { if (-not (Test-FirewallRule $entry)) { $found.Add("firewall/$($entry.name)") } }
    foreach ($rule in (Get-SurplusRules $Desired.firewall)) { $found.Add("firewall/$($rule.DisplayName)") }
    foreach ($entry in $Desired.services) { if (-not (Test-ServiceEntry $entry)) { $found.Add("services/$($entry.name)") } }
    return $found
}

function Set-Differences($Desired) {
    foreach ($feature in $Desired.features) { if (-not (Test-Feature $feature)) { Set-Feature $feature } }
    $smtpDiffers = (@(Get-SmtpDifferences $Desired.smtp)).Count -gt 0
    if ($smtpDiffers) { Set-Smtp $Desired.smtp }
    $registryDiffers = $false
    foreach ($entry in $Desired.registry) { if (-not (Test-RegistryValue $entry)) { Set-RegistryValue $entry; $registryDiffers = $true } }
    foreach ($entry in $Desired.firewall) { if (-not (Test-FirewallRule $entry)) { Set-FirewallRule $entry } }
    foreach ($rule in (Get-SurplusRules $Desired.firewall)) { Remove-NetFirewallRule -Name $rule.Name }
    foreach ($entry in $Desired.services) { if (-not (Test-ServiceEntry $entry)) { Set-ServiceEntry $entry } }
    # Settings of the SMTP server and of what hooks into it are read when the service starts.
    if ($smtpDiffers -or $registryDiffers) { Restart-Service -Name 'SMTPSVC' -Force }
}

# Check and write of the fence stand under the mutex: a late first delivery must not undo what a newer one did.
function Confirm-Generation([int] $Generation) {
    $seen = 0
    if (Test-Path -Path $StateKey) {
        $value = Get-ItemProperty -Path $StateKey -Name 'Generation' -ErrorAction SilentlyContinue
        if ($null -ne $value) { $seen = [int] $value.Generation }
    }
    if ($Generation -lt $seen) { throw "GenerationOutdated: the machine has generation $seen, the document is $Generation" }
    if ($Mode -eq 'set' -and $Generation -gt $seen) {
        if (-not (Test-Path -Path $StateKey)) { [void] (New-Item -Path $StateKey -Force) }
        [void] (New-ItemProperty -Path $StateKey -Name 'Generation' -Value $Generation -PropertyType DWord -Force)
    }
}

function Write-Result([hashtable] $Result) { [Console]::Out.WriteLine((ConvertTo-Json -InputObject $Result -Compress -Depth 4)) }

$generation = 0
$mutex = New-Object Threading.Mutex($false, $MutexName)
$entered = $false
try {
    try { $entered = $mutex.WaitOne([TimeSpan]::FromMinutes(15)) } catch [Threading.AbandonedMutexException] { $entered = $true }
    if (-not $entered) { throw 'EngineBusy: another run of the engine did not end' }

    $desired = Read-Document $Document
    $generation = [int] $desired.generation
    Confirm-Generation $generation

    $before = @(Get-Differences $desired)
    $changed = @()
    $after = $before
    if ($Mode -eq 'set' -and $before.Count -gt 0) {
        # Nothing but the result may reach the output.
        [void] (Set-Differences $desired)
        $after = @(Get-Differences $desired)
        $changed = @($before | Where-Object { $after -notcontains $_ })
    }
    Write-Result @{ inDesiredState = ($after.Count -eq 0); generation = $generation; differences = @($after); changed = @($changed) }
    exit 0
}
catch {
    # Our own failures begin with a code; of others only the type and place are told, since messages may quote values.
    $code = 'GuestFailed'
    $message = "$($_.Exception.GetType().Name) at line $($_.InvocationInfo.ScriptLineNumber)"
    if ($_.Exception -is [Management.Automation.RuntimeException] -and $_.Exception.Message -cmatch '^([A-Z][A-Za-z]+): (.+)$') { $code = $Matches[1]; $message = $Matches[2] }
    Write-Result @{ inDesiredState = $false; generation = $generation; differences = @(); changed = @(); error = @{ code = $code; message = $message } }
    exit 1
}
finally {
    if ($entered) { $mutex.ReleaseMutex() }
    $mutex.Dispose()
}

import { LoginPage } from '../login/login-page.tsx'

export default LoginPage
